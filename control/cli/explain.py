"""Explains a decision from its stored JSON: what was decided, why, and every figure it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from control.cli.figures import (
    duration,
    evidence,
    interval,
    limit,
    measure,
    moment,
    probability,
    seconds,
    share,
)
from control.cli.output import Block, Grid

Json = Mapping[str, Any]

_QUANTILES = ("p50", "p90", "p95", "p99")


def explain(decision: Json) -> list[Block]:
    """Blocks of text and tables, most important first."""
    blocks: list[Block] = [_headline(decision)]
    analysis = decision.get("analysis")
    if not analysis:
        blocks.append("No analysis stands behind it: it was decided by a person or by the clock.")
        return blocks
    if analysis["findings"]:
        blocks += [findings_grid(analysis), "\n".join(finding["reason"] for finding in analysis["findings"])]
    blocks.append(_evidence(analysis, decision.get("needs") or ()))
    if analysis.get("outcomes"):
        blocks.append(_outcomes(analysis["outcomes"]))
    if analysis.get("one_look"):
        blocks.append(_one_look(analysis["one_look"]))
    if analysis.get("latency"):
        blocks.append(_latency(analysis["latency"]))
    return blocks


def findings_grid(analysis: Json) -> Grid:
    """One row for each guardrail."""
    return Grid(
        headings=["guardrail", "verdict", "canary", "control", "limit", "evidence of harm"],
        rows=[
            [
                _guardrail_name(finding),
                str(finding["verdict"]).replace("_", " "),
                measure(finding["canary"], finding["unit"]),
                measure(finding["control"], finding["unit"]),
                limit(finding["threshold"], finding["unit"]),
                evidence(finding["log_e"]),
            ]
            for finding in analysis["findings"]
        ],
        right=frozenset({5}),
    )


def _guardrail_name(finding: Json) -> str:
    mode = finding.get("mode", "enforce")
    return str(finding["name"]) + ("" if mode == "enforce" else f" ({mode.replace('_', ' ')})")


def _headline(decision: Json) -> str:
    kind = str(decision["kind"]).replace("_", " ")
    lines = [
        f"Decision {decision['id']} on route {decision['route']}",
        f"  what     {kind}: {_movement(decision)}",
        f"  when     {moment(decision['at'])}",
        f"  who      {decision['actor']}",
        f"  why      {decision['reason']}",
        f"  rollout  {decision['rollout']}",
        f"  table    revision {decision['revision']}, configuration {decision['config_digest'][:19]}",
    ]
    return "\n".join(lines)


def _movement(decision: Json) -> str:
    before, after = decision["from_weight"], decision["to_weight"]
    weights = (
        f"stays at {share(after)}" if before == after else f"goes from {share(before)} to {share(after)}"
    )
    parts = [f"canary {decision['canary']} {weights}"]
    if decision["from_step"] != decision["to_step"]:
        parts.append(f"step {decision['from_step'] + 1} to {decision['to_step'] + 1}")
    if decision["from_state"] != decision["to_state"]:
        states = (str(decision[key]).replace("_", " ") for key in ("from_state", "to_state"))
        parts.append(" to ".join(states))
    return ", ".join(parts)


def need_line(need: Json) -> str:
    """About how many more requests an undecided guardrail needs, and how long that takes."""
    if need["requests"] is None:
        return f"{need['guardrail']}: how many more requests it needs cannot be said yet"
    time = "" if need.get("seconds") is None else f", {duration(need['seconds'])} at the present pace"
    return f"{need['guardrail']}: about {need['requests']} more canary requests{time}"


def _evidence(analysis: Json, needs: Sequence[Json]) -> str:
    found, threshold = evidence(analysis["log_e"]), analysis["threshold"]
    lines = [
        f"Evidence of harm, all guardrails together: {found}; at {threshold:.4g} the canary is rolled back."
    ]
    chance = analysis["anytime_p"]
    if chance < 1:
        lines.append(
            "  Chance that a canary which is no worse would ever get this far, however often one looks: "
            f"{probability(chance)} at most."
        )
    if analysis.get("culprits"):
        lines.append(f"  To blame: {', '.join(analysis['culprits'])}.")
    if analysis.get("hold"):
        lines.append(f"  Held: {analysis['hold']}")
    lines += [f"  {need_line(need)}" for need in needs]
    counts = [f"{analysis['step_requests']} canary requests answered at this step"]
    canary, control = analysis.get("in_flight", (0, 0))
    if canary or control:
        counts.append(f"{canary} in flight on the canary, {control} on control")
    if analysis.get("diverted"):
        counts.append(f"{analysis['diverted']} diverted to stable by the workers")
    lines.append("  " + ", ".join(counts) + ".")
    if analysis.get("note"):
        lines.append(f"  {analysis['note']}")
    return "\n".join(lines)


def _outcomes(values: Json) -> str:
    lines = ["How requests of this step have ended:"]
    for arm in ("canary", "control"):
        ended = sorted(values[arm].items(), key=lambda item: -item[1])
        lines.append(
            f"  {arm:<8} "
            + (", ".join(f"{count} {name.replace('_', ' ')}" for name, count in ended) or "none yet")
        )
    return "\n".join(lines)


def _one_look(values: Json) -> str:
    level = share(values["confidence"])
    lines = [f"For comparison, valid for a single look and used for nothing (this step, {level} intervals):"]
    for arm in ("canary", "control"):
        counted = values[arm]
        rate = share(counted["x"] / counted["n"]) if counted["n"] else "no data"
        wilson = interval(counted["wilson"], share)
        lines.append(f"  {arm:<8} {counted['x']} of {counted['n']} failed: {rate} {wilson} (Wilson)")
    difference = interval(values["difference"]["newcombe"], share)
    lines.append(f"  canary minus control: {difference} (Newcombe)")
    if values["z"] is not None:
        lines.append(f"  z-test of two proportions: z = {values['z']:.3g}, p {probability(values['p'])}")
    return "\n".join(lines)


def _latency(values: Json) -> Grid:
    rows = [
        [name, *(_quantile(values["total"][arm].get(name)) for arm in ("canary", "control"))]
        for name in _QUANTILES
        if any(name in values["total"][arm] for arm in ("canary", "control"))
    ]
    return Grid(headings=["latency", "canary", "control"], rows=rows)


def _quantile(found: Sequence[float | None] | None) -> str:
    if not found or found[0] is None:
        return "no data"
    return f"{seconds(found[0])} {interval(found[1:], seconds)}"
