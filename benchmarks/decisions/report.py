"""The report as Markdown, from the figures that were kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_HEADINGS = {
    "identical": "Identical versions: rolled back within an hour, looked at every second",
    "detection": "A canary that is worse from its first request: canary requests until the rollback",
    "gross": "A canary that fails altogether: canary requests until the rollback",
    "late": "A canary that becomes worse later: canary requests from then on",
    "bursts": "Bursts of 5 to 60 s with 5 to 90 % failures, one arm at a time: innocent builds condemned",
    "condemned": "With the same caution against bursts: seconds from the beginning of harm to the rollback",
    "promotion": "A canary as good as control: canary requests until its harmlessness is shown",
    "margin": "A canary exactly at the margin: shown to be harmless within two hours",
    "together": "Errors and five latency quantiles, over errors alone: canary requests until the rollback",
    "latency": "A slower canary, by latency alone: canary requests until the rollback (median)",
    "disturbed": "Identical versions where the textbook's assumptions fail: rolled back within an hour",
}

# What is counted where nothing of it ought to happen.
_WRONG = {
    "identical": "rolled back",
    "bursts": "rolled back",
    "margin": "shown",
    "disturbed": "rolled back",
}
# Whose goal is about another figure than the ratio.
_ASKED = {"condemned": "median_seconds", "gross": "median_requests"}


def markdown(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """All tables; *figures* by the cell's name, in the order in which they are to be shown."""
    parts = []
    for group, heading in _HEADINGS.items():
        rows = {name: found for name, found in figures.items() if found["group"] == group}
        if rows:
            wrong = _WRONG.get(group)
            lines = _detected(rows) if wrong is None else _false(rows, wrong)
            parts.append("\n".join((f"### {heading}", "", *lines)))
    return "\n\n".join(parts) + "\n"


def missed(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Cells whose figure is beyond their goal, beyond what chance explains for a rate."""
    found = []
    for name, row in figures.items():
        goal = _number(row["goal"])
        shown = row["low"] if "rate" in row else row[_ASKED.get(row["group"], "ratio")]
        if not math.isnan(goal) and not _number(shown) <= goal:
            found.append(name)
    return found


def _false(rows: Mapping[str, Mapping[str, Any]], wrong: str) -> list[str]:
    lines = [f"| | allowed | {wrong} | rate | 95 % interval (Wilson) |", "| --- | --- | --- | --- | --- |"]
    for name, row in rows.items():
        goal = _number(row["goal"])
        allowed = "" if math.isnan(goal) else f"{goal:.2g}"
        lines.append(
            f"| {name} | {allowed} | {row['rolled_back']} of {row['runs']} | {row['rate']:.2%}"
            f" | {row['low']:.2%} to {row['high']:.2%} |"
        )
    return lines


def _detected(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "| | found | mean | median | p90 | seconds | no test below | times that | fixed size | goal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        goal = _number(row["goal"])
        lines.append(
            f"| {name} | {row['detected']:.0%} of {row['runs']} | {_count(row['mean_requests'])}"
            f" | {_count(row['median_requests'])} | {_count(row['p90_requests'])}"
            f" | {_count(row['median_seconds'])}"
            f" | {_count(row['limit'])} | {_number(row['ratio']):.2f} | {_count(row['fixed'])}"
            f" | {'' if math.isnan(goal) else f'{goal:g}'} |"
        )
    return lines


def _number(value: Any) -> float:
    """JSON has no "not a number"; there it is null."""
    return math.nan if value is None else float(value)


def _count(value: Any) -> str:
    return "-" if math.isnan(_number(value)) else f"{_number(value):.0f}"
