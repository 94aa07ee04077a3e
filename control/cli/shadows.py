"""A shadow's report as text."""

from __future__ import annotations

import json
from typing import Any, Final

from control.cli.figures import moment, seconds, share
from control.cli.output import Block, Grid

SAMPLES_SHOWN: Final = 5
VALUE_CHARACTERS_MAX: Final = 40


def shadow_blocks(shadow: dict[str, Any]) -> list[Block]:
    """What `headgate shadow report` prints of one shadow."""
    agreement, requests = shadow["agreement"], shadow["requests"]
    low, high = agreement["sequence"]
    lines = [f"{shadow['route']}: shadow {shadow['shadow']} ({shadow['upstream']})"]
    if shadow["began"] is not None:
        lines.append(f"  counted since {moment(shadow['began'])}")
    if agreement["compared"]:
        lines.append(
            f"  {share(agreement['rate'])} of {agreement['compared']} pairs agree"
            f" (at any look {share(low)} to {share(high)};"
            f" at one look {share(agreement['wilson'][0])} to {share(agreement['wilson'][1])})"
        )
    else:
        lines.append("  no pair was compared yet")
    noise = shadow["noise_floor"]
    if noise is not None:
        own = noise["agreement"]
        lines.append(
            f"  noise floor: production agrees with itself in {share(own['rate'])} of {own['compared']} pairs"
        )
    lines.append(f"  {_ratio(shadow['latency']['ratio'])}")
    lines.append(
        f"  requests: {requests['eligible']} eligible, {requests['mirrored']} copied,"
        f" {requests['skipped']} skipped, {requests['held_or_lost']} held or lost"
    )
    if shadow["gate"] is not None:
        lines.append(f"  gate: {shadow['gate']['verdict']}: {shadow['gate']['reason']}")
    blocks: list[Block] = ["\n".join(lines), _latencies(shadow["latency"])]
    counts = _counts(shadow)
    if counts.rows:
        blocks.append(counts)
    if shadow["differences"]["paths"]:
        blocks.append(_differences(shadow["differences"]["paths"]))
    if shadow["samples"]:
        blocks.append(_samples(shadow["samples"]))
    if shadow["earlier"]:
        blocks.append(_earlier(shadow["earlier"]))
    return blocks


def _ratio(ratio: dict[str, Any]) -> str:
    if ratio["median"] is None:
        return "no times yet"
    text = f"shadow's time / primary's: median {ratio['median']:.3g}"
    if ratio["interval"] is not None:
        text += f" (at any look {ratio['interval'][0]:.3g} to {ratio['interval'][1]:.3g})"
    return text + f", p95 {ratio['p95']:.3g}"


def _latencies(latency: dict[str, Any]) -> Grid:
    return Grid(
        headings=["answers", "mean", "p50", "p95", "p99", "pairs"],
        rows=[
            [
                side,
                *(seconds(latency[side][name]) for name in ("mean", "p50", "p95", "p99")),
                str(latency[side]["count"]),
            ]
            for side in ("primary", "shadow")
        ],
        right=frozenset(range(1, 6)),
    )


def _counts(shadow: dict[str, Any]) -> Grid:
    rows = [
        ["skipped", reason.replace("_", " "), str(sum(sizes.values()))]
        for reason, sizes in sorted(shadow["requests"]["skipped_by_reason"].items())
    ]
    rows += [
        ["not compared", reason.replace("_", " "), str(count)]
        for reason, count in sorted(shadow["pairs"]["not_compared"].items())
    ]
    pairs = shadow["pairs"]
    rows += [
        ["not compared", text, str(pairs[name])]
        for name, text in (
            ("lost_by_comparer", "lost in the comparing process"),
            ("waiting_or_lost", "waiting or lost"),
        )
        if pairs[name]
    ]
    rows += [
        ["answered", outcome.replace("_", " "), str(count)]
        for outcome, count in sorted(shadow["answers"].items())
    ]
    return Grid(headings=["what", "why or how", "requests"], rows=rows, right=frozenset({2}))


def _samples(samples: list[dict[str, Any]]) -> Grid:
    return Grid(
        headings=["example", "differs at", "how", "primary", "shadow"],
        rows=[
            [
                sample["request_id"] if first else "",
                entry["path"] or "(the whole)",
                entry["kind"].replace("_", " "),
                *(_value(entry[side]) if side in entry else "" for side in ("primary", "shadow")),
            ]
            for sample in samples[:SAMPLES_SHOWN]
            for first, entry in zip((True, *[False] * 7), sample["differences"], strict=False)
        ],
    )


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 1] + "…"


def _earlier(earlier: list[dict[str, Any]]) -> Grid:
    """What other versions or rules have shown before these."""
    return Grid(
        headings=["before, until", "from", "agreement", "pairs", "time / primary's"],
        rows=[
            [
                moment(one["ended"]),
                moment(one["began"]),
                share(one["agreement"]["rate"]),
                str(one["agreement"]["compared"]),
                "-" if one["latency_ratio"]["median"] is None else f"{one['latency_ratio']['median']:.3g}",
            ]
            for one in earlier
        ],
        right=frozenset({2, 3, 4}),
    )


def _differences(paths: list[dict[str, Any]]) -> Grid:
    return Grid(
        headings=["differs at", "how", "pairs"],
        rows=[
            [entry["path"] or "(the whole)", entry["kind"].replace("_", " "), str(entry["pairs"])]
            for entry in paths
        ],
        right=frozenset({2}),
    )
