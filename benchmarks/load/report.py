"""From slices to figures: medians, quartiles, ratios to neighbouring slices of the reference, tables."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.load.contenders import REFERENCE
from benchmarks.load.slices import Slice
from benchmarks.load.workloads import WORKLOADS, Mode, Workload


def ratios(slices: Sequence[Slice]) -> dict[str, list[float]]:
    """For each peer the cost of its slices over that of the reference's slices right before and after.

    `slices` are of one workload, in the order they were taken. What else the machine does changes slowly, so
    it is in both and cancels.
    """
    found: dict[str, list[float]] = {}
    for index, one in enumerate(slices):
        if one.peer == REFERENCE:
            continue
        before = next((s for s in reversed(slices[:index]) if s.peer == REFERENCE), None)
        after = next((s for s in slices[index + 1 :] if s.peer == REFERENCE), None)
        neighbours = [s.cost_us for s in (before, after) if s is not None]
        if neighbours:
            found.setdefault(one.peer, []).append(one.cost_us / statistics.fmean(neighbours))
    return found


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    if len(values) == 1:
        low = middle = high = values[0]
    else:
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4), "n": len(values)}


def summarise(workload: Workload, slices: Sequence[Slice]) -> dict[str, Any]:
    """The figures of one workload by peer."""
    relative = ratios(slices)
    peers: dict[str, Any] = {}
    for name in dict.fromkeys(one.peer for one in slices):
        own = [one for one in slices if one.peer == name]
        figures = {
            "cost_us": quartiles([one.cost_us for one in own]),
            "rate": quartiles([one.rate for one in own]),
            "rss_mib": quartiles([one.rss_bytes / 2**20 for one in own]),
            "failures": sum(one.failures for one in own),
        }
        if name in relative:
            figures["ratio"] = quartiles(relative[name])
        if workload.mode is not Mode.EVENTS:
            for percentile in ("p50_us", "p90_us", "p99_us", "p999_us"):
                figures[percentile] = quartiles([getattr(one, percentile) for one in own])
        peers[name] = figures
    return {"title": workload.title, "unit": workload.unit, "peers": peers}


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Two runs as one: every slice of both, in order; machine, commit and errors of each are kept."""
    slices = [Slice(**values) for values in [*earlier["slices"], *later["slices"]]]
    names = dict.fromkeys(one.workload for one in slices)
    # Otherwise they are parts of one run.
    again = earlier["workloads"].keys() & later["workloads"].keys()
    return later | {
        "interpreters": earlier.get("interpreters", {}) | later.get("interpreters", {}),
        "rounds": earlier["rounds"] + later["rounds"] if again else max(earlier["rounds"], later["rounds"]),
        "machines": [*earlier.get("machines", [earlier["machine"]]), later["machine"]],
        "workloads": {
            name: summarise(WORKLOADS[name], [one for one in slices if one.workload == name])
            for name in names
        },
        "slices": raw(slices),
        "errors": earlier["errors"] + later["errors"],
    }


def markdown(summary: dict[str, Any]) -> str:
    """One table for each workload, and one of what ran each Headgate."""
    parts = []
    for workload in summary["workloads"].values():
        rows = [
            f"### {workload['title']}",
            "",
            f"| | CPU ÷ {REFERENCE} (quartiles) | CPU per {workload['unit']} | per second | p50 | p99 "
            "| memory | failed |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        rows += [_row(name, figures) for name, figures in workload["peers"].items()]
        parts.append("\n".join(rows))
    if summary.get("interpreters"):
        rows = ["### Interpreters", "", "| | Python | guided by profiles | |", "| --- | --- | --- | --- |"]
        for name, build in summary["interpreters"].items():
            rows.append(f"| {name} | {build['version']} | {build['profile_guided']} | `{build['path']}` |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _row(name: str, figures: dict[str, Any]) -> str:
    ratio = figures.get("ratio")
    relative = f"**{ratio['median']:.2f}** ({ratio['q1']:.2f}–{ratio['q3']:.2f})" if ratio else "1"
    latency = [f"{figures[p]['median']:.0f} µs" if p in figures else "–" for p in ("p50_us", "p99_us")]
    cells = [
        name,
        relative,
        f"{figures['cost_us']['median']:.1f} µs",
        f"{figures['rate']['median']:,.0f}".replace(",", " "),
        *latency,
        f"{figures['rss_mib']['median']:.0f} MiB",
        str(figures["failures"]),
    ]
    return f"| {' | '.join(cells)} |"


def raw(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """The slices as plain values."""
    return [asdict(one) for one in slices]
