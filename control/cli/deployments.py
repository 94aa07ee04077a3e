"""Deployments in words and tables, from the JSON of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from config.counted import counted
from control.cli.figures import moment, seconds, share
from control.cli.output import Block, Grid

# Changes of health that are shown, the latest; the API has more of them.
_HEALTH_SHOWN: Final = 10


def deployment_line(deployment: Mapping[str, Any]) -> str:
    """What is where by which strategy, its status and why."""
    what = deployment["release"] or deployment["target"]
    status = deployment["status"].replace("_", " ")
    why = f": {deployment['reason']}" if deployment["reason"] else ""
    return f"{what} on {deployment['route']} ({deployment['strategy'].replace('_', '-')}) is {status}{why}"


def deployment_blocks(deployment: Mapping[str, Any]) -> list[Block]:
    """A deployment with its figures, its health and its history."""
    lines = [
        f"Deployment {deployment['id']}: {deployment_line(deployment)}",
        f"  in place of  {deployment['baseline']}",
        f"  environment  {deployment['environment']}",
        f"  endpoints    {', '.join(deployment['endpoints'])}",
        f"  made         {moment(deployment['created_at'])} by {deployment['created_by']}",
        f"  health       {deployment['health']}: {deployment['health_text'] or 'not looked at yet'}",
    ]
    if (now := deployment["now"]) and now.get("endpoints_told"):
        lines.append(
            f"  resources    {_resources(now)} of {counted(len(deployment['endpoints']), 'endpoint')}"
        )
    if deployment["rollout"]:
        lines.append(f"  rollout      {deployment['rollout']}")
    if deployment["rollback_reason"]:
        lines.append(f"  rolled back  by {deployment['rollback_trigger']}: {deployment['rollback_reason']}")
    rows = [
        [
            name,
            str(figures["requests"]),
            str(figures["failures"]),
            share(figures["failure_rate"]),
            *(seconds(figures[level]) for level in ("p50", "p95", "p99")),
        ]
        for name, figures in (("before", deployment["before"]), ("now", deployment["now"]))
        if figures is not None
    ]
    figures_grid = Grid(
        headings=["", "requests", "failed", "rate", "p50", "p95", "p99"],
        rows=rows,
        right=frozenset(range(1, 7)),
    )
    moves = Grid(
        headings=["when", "status", "who", "why"],
        rows=[
            [moment(move["at"]), move["status"].replace("_", " "), move["actor"], move["reason"]]
            for move in deployment["moves"]
        ],
    )
    health = Grid(
        headings=["when", "health", "why"],
        rows=[
            [moment(each["at"]), each["health"], each["text"]]
            for each in deployment["history"][-_HEALTH_SHOWN:]
        ],
    )
    blocks: list[Block] = ["\n".join(lines)]
    return blocks + [grid for grid in (figures_grid, moves, health) if grid.rows]


def _resources(now: Mapping[str, Any]) -> str:
    """What endpoints tell of themselves; what they do not tell is not zero."""
    cores, memory = now["cpu_cores"], now["memory_bytes"]
    parts = [
        "cores unknown" if cores is None else f"{cores:.2f} cores",
        "memory unknown" if memory is None else f"{memory / 2**20:.0f} MiB",
    ]
    return f"{', '.join(parts)}, told by {now['endpoints_told']}"
