"""Simulates the cells one after the other and keeps each as it is done: `python -m benchmarks.decisions`.

With the evidence that a plan keeps, looked at every second, under a fixed seed for each cell, so the same
figures come out on every machine and in every order. What is in the file already, with at least as many runs,
is not done again: an interrupted report goes on where it stopped, and parts can be made with --only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.decisions.cells import AnyCell, cells
from benchmarks.decisions.report import markdown, missed

# Of the full report's runs, for a look that takes minutes.
QUICK_SHARE = 0.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate what is missing and write both forms of the report; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the runs, for a first look")
    parser.add_argument("--runs", type=int, help="runs of each cell, instead of the cell's own number")
    parser.add_argument("--only", default="", help="cells whose group or name contains this")
    parser.add_argument(
        "--out", type=Path, default=Path("build/stats-report.json"), help="figures; the text goes beside"
    )
    given = parser.parse_args(arguments)
    if given.runs is not None and given.runs < 1:
        parser.error("--runs must be at least 1")
    share = QUICK_SHARE if given.quick else 1.0
    wanted = [
        (cell, given.runs or max(10, int(cell.runs * share)))
        for cell in cells()
        if given.only in cell.name or given.only in cell.group
    ]
    if not wanted:
        parser.error(f"no cell contains {given.only!r}")
    figures = _load(given.out)
    missing = [(cell, runs) for cell, runs in wanted if figures.get(cell.name, {}).get("runs", 0) < runs]
    _simulate(missing, figures, given.out)
    chosen = {cell.name: figures[cell.name] for cell, _ in wanted}
    print(markdown(chosen))
    for name in missed(chosen):
        print(f"beyond its goal: {name}", file=sys.stderr)
    return int(bool(missed(chosen)))


def _simulate(missing: Sequence[tuple[AnyCell, int]], figures: dict[str, Any], out: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        whole = bars.add_task("cells", total=len(missing))
        for cell, runs in missing:
            bar = bars.add_task(f"{cell.group}: {cell.name}", total=1)
            began = time.perf_counter()
            found = cell.run(
                runs,
                zlib.crc32(cell.name.encode()),
                lambda done, total, bar=bar: bars.update(bar, completed=done, total=total),  # type: ignore[misc]
            )
            figures[cell.name] = found | {"seconds": round(time.perf_counter() - began, 1)}
            _keep(figures, out)
            bars.remove_task(bar)
            bars.advance(whole)


def _load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _keep(figures: dict[str, Any], path: Path) -> None:
    """Write both forms, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {cell.name: place for place, cell in enumerate(cells())}
    sorted_figures = dict(sorted(figures.items(), key=lambda item: order.get(item[0], len(order))))
    plain = json.dumps(_plain(sorted_figures), indent=1) + "\n"
    for place, text in ((path, plain), (path.with_suffix(".md"), markdown(sorted_figures))):
        temporary = place.with_name(f".{place.name}.new")
        temporary.write_text(text, "utf-8")
        temporary.replace(place)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    sys.exit(main())
