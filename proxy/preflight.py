"""Looks at the program that is about to take over: does it start, and does it take the configuration.

Run by the supervisor as `python -m proxy.preflight` before an upgrade, with the program that is on disk now.
It prints one line of JSON: what has to be open for the new program, or why it must not begin.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

# Whatever cannot be imported would end right after its start; control only where there is one.
PROGRAMS: Final = ("proxy.supervisor", "proxy.agent", "proxy.worker")
CONTROL: Final = "control.app"


def look(config: Path, *, control: bool) -> dict[str, Any]:
    """Return the plan of a program that can take over, or `problems` of one that cannot."""
    problems = []
    for name in (*PROGRAMS, CONTROL) if control else PROGRAMS:
        try:
            importlib.import_module(name)
        except Exception as exc:  # whatever a broken installation raises
            problems.append(f"{name} cannot be imported: {type(exc).__name__}: {exc}")
    return {"problems": problems} if problems else _plan(config)


def _plan(path: Path) -> dict[str, Any]:
    from config.problems import ConfigError
    from proxy.compiled import stale_modules
    from proxy.fleet import worker_count
    from proxy.listeners import wanted_of
    from proxy.reload import ConfigFile

    stale = stale_modules()
    if stale:
        return {"problems": [f"compiled from other source than is here: {', '.join(stale)}"]}
    try:
        config = ConfigFile(path, os.environ).load().config
    except ConfigError as exc:
        return {"problems": [str(problem) for problem in exc.problems]}
    return {
        "problems": [],
        "wanted": wanted_of(config.listeners),
        "workers": worker_count(config.workers),
        "drain": config.timeouts.drain,
        "drain_delay": config.timeouts.drain_delay,
    }


def main(arguments: Sequence[str]) -> int:
    """Entry point of `python -m proxy.preflight CONFIG`."""
    parser = argparse.ArgumentParser(prog="proxy.preflight", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--control", action="store_true")
    given = parser.parse_args(arguments)
    plan = look(given.config, control=given.control)
    sys.stdout.write(json.dumps(plan) + "\n")
    return 2 if plan["problems"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
