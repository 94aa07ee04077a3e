"""Releases and comparisons in words and tables, from the JSON of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from control.cli.output import Block, Grid

Json = Mapping[str, Any]


def release_grid(releases: Sequence[Json]) -> Grid:
    """Releases in a table."""
    rows = [
        [
            f"{each['name']}:{each['version']}",
            each["stage"],
            ", ".join(f"@{alias}" for alias in each["aliases"]) or "-",
            (each["approval_status"] or "-").replace("_", " "),
            each["framework"] or "-",
            _metrics(each["metrics"]),
            each["created_at"][:19].replace("T", " "),
            each["created_by"],
        ]
        for each in releases
    ]
    headings = ["release", "stage", "aliases", "approval", "framework", "metrics", "registered", "by"]
    return Grid(headings=headings, rows=rows)


def one_release(release: Json) -> list[Block]:
    """Everything about one release."""
    artifact, lineage = release["artifact"], release["lineage"]
    said = {
        "stage": f"{release['stage']}, since {_time(release['stage_since'])}",
        "registered": f"{_time(release['created_at'])} by {release['created_by']}",
        "approval": _approval(release),
        "aliases": ", ".join(f"@{alias}" for alias in release["aliases"]),
        "framework": release["framework"],
        "description": release["description"],
        "metrics": _metrics(release["metrics"]),
        "tags": ", ".join(f"{tag}={text}" if text else tag for tag, text in release["tags"].items()),
        "endpoints": ", ".join(release["endpoints"]),
        "artifact": f"{artifact['digest']}, {artifact['size']} bytes",
        "from": artifact["uri"],
        "parents": ", ".join(lineage["parents"]),
        "dataset": lineage["dataset"],
        "commit": lineage["commit"],
    }
    lines = [f"{release['name']}:{release['version']}"]
    lines += [f"  {name:<12}{text}" for name, text in said.items() if text]
    steps = [
        [_time(step["at"]), step["actor"], step["action"].replace("_", " "), step["to"], step["reason"]]
        for step in release["history"]
    ]
    return ["\n".join(lines), Grid(headings=["time", "who", "what", "stage", "why"], rows=steps)]


def comparison_blocks(answer: Json) -> list[Block]:
    """Two releases side by side."""
    old, new = answer["from"], answer["to"]
    rows = [
        [
            each["metric"],
            _figure(each["from"]),
            _figure(each["to"]),
            _figure(each["change"]),
            "-" if each["relative"] is None else f"{each['relative']:+.2%}",
            f"{each['direction']} is better",
            each["verdict"],
        ]
        for each in answer["metrics"]
    ]
    headings = ["metric", old["release"], new["release"], "change", "relative", "direction", "verdict"]
    blocks: list[Block] = [
        f"{old['release']} ({old['stage']}) and {new['release']} ({new['stage']})"
        + (": the same artifact" if answer["same_artifact"] else ""),
        Grid(headings=headings, rows=rows, right=frozenset({1, 2, 3, 4})),
    ]
    for each in answer["live"]:
        blocks.append(
            f"live: {each['release']} on {each['route']} against {each['against']}: "
            f"{each['outcome'].replace('_', ' ')}, {each['reason']}"
        )
    for each in answer["experiments"]:
        ended = each["reason"] if each["reason"] else f"it is {each['status']}"
        blocks.append(
            f"A/B test {each['name']} on {each['route']}: {each['release']} against {each['against']}: "
            f"{each['verdict'].replace('_', ' ')}, {ended}"
        )
    if not answer["live"] and not answer["experiments"]:
        blocks.append("live: neither has been a canary, or in an A/B test")
    return blocks


def lineage_text(answer: Json) -> str:
    """Ancestors as a tree, and children."""
    lines: list[str] = []

    def draw(label: str, depth: int) -> None:
        lines.append("  " * depth + label)
        for parent in answer["ancestors"].get(label, ()):
            if depth < 50:
                draw(parent, depth + 1)

    draw(answer["release"], 0)
    for name in ("dataset", "commit"):
        if answer[name]:
            lines.append(f"{name}: {answer[name]}")
    lines.append(f"made from it: {', '.join(answer['children']) or 'nothing'}")
    return "\n".join(lines)


def _approval(release: Json) -> str:
    status = release["approval_status"]
    if status is None:
        return ""
    by = f" by {', '.join(release['approved_by'])}" if release["approved_by"] else ""
    return f"{status.replace('_', ' ')}{by} ({release['approval']})"


def _metrics(metrics: Json) -> str:
    return ", ".join(f"{name} {_figure(value)}" for name, value in metrics.items())


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _time(text: str) -> str:
    return text[:19].replace("T", " ")
