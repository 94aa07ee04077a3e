"""Explains a decision from its stored JSON: what was decided, why, and every figure it was made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from control.cli.figures import evidence, limit, measure, moment, probability, share
from control.cli.output import Block, Grid

Json = Mapping[str, Any]


def explain(decision: Json) -> list[Block]:
    """Blocks of text and tables, most important first."""
    blocks: list[Block] = [_headline(decision)]
    analysis = decision.get("analysis")
    if not analysis:
        blocks.append("No analysis stands behind it: it was decided by a person or by the clock.")
        return blocks
    if analysis["findings"]:
        blocks.append(findings_grid(analysis))
    blocks.append(_evidence(analysis))
    blocks.extend(_one_look(analysis.get("one_look")))
    blocks.extend(_latency(analysis.get("latency")))
    return blocks


def findings_grid(analysis: Json) -> Grid:
    """One row for each guardrail."""
    return Grid(
        headings=["guardrail", "verdict", "canary", "control", "limit", "evidence", "why"],
        rows=[
            [
                _guardrail_name(finding),
                finding["verdict"],
                measure(finding["canary"], finding["unit"]),
                measure(finding["control"], finding["unit"]),
                limit(finding["threshold"], finding["unit"]),
                evidence(finding["log_e"]),
                finding["reason"],
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
        f"Decision {decision.get('id', '')} on route {decision['route']}".replace("  ", " "),
        f"  what    {kind}: {_movement(decision)}",
        f"  when    {moment(decision['at'])}",
        f"  who     {decision['actor']}",
        f"  why     {decision['reason']}",
    ]
    if decision.get("rollout"):
        lines.append(f"  rollout {decision['rollout']}")
    if decision.get("revision"):
        lines.append(
            f"  table   revision {decision['revision']}, configuration {decision.get('config_digest', '')}"
        )
    return "\n".join(lines)


def _movement(decision: Json) -> str:
    before, after = decision["from_weight"], decision["to_weight"]
    weights = (
        f"the canary stays at {share(after)}"
        if before == after
        else f"the canary goes from {share(before)} to {share(after)}"
    )
    if decision["from_step"] != decision["to_step"]:
        weights += f", step {decision['from_step'] + 1} to {decision['to_step'] + 1}"
    if decision["from_state"] != decision["to_state"]:
        weights += f", {decision['from_state'].replace('_', ' ')} to {decision['to_state'].replace('_', ' ')}"
    return weights


def _evidence(analysis: Json) -> str:
    threshold = analysis["threshold"]
    lines = [
        f"Evidence of harm, all guardrails together: {evidence(analysis['log_e'])}; "
        f"at {threshold:.4g} the canary is rolled back.",
        f"  If the canary were no worse, it would ever have reached this with a chance of at most "
        f"{probability(min(1.0, analysis['anytime_p']))}, however often one looks.",
    ]
    if analysis.get("culprits"):
        lines.append(f"  To blame: {', '.join(analysis['culprits'])}.")
    if analysis.get("hold"):
        lines.append(f"  Held: {analysis['hold']}")
    if analysis.get("needed"):
        lines.append(f"  About {analysis['needed']} more canary requests would decide this step.")
    canary, control = analysis.get("in_flight", (0, 0))
    counts = [f"{analysis['step_requests']} canary requests answered at this step"]
    if canary or control:
        counts.append(f"{canary} in flight on the canary and {control} on control")
    if analysis.get("diverted"):
        counts.append(f"{analysis['diverted']} diverted to stable by the workers")
    lines.append("  " + ", ".join(counts) + ".")
    if not math.isclose(analysis.get("overdispersion", 1.0), 1.0):
        lines.append(
            f"  Keys differ {analysis['overdispersion']:.2f} times as much as chance; evidence counts less."
        )
    return "\n".join(lines)


def _one_look(values: Json | None) -> list[Block]:
    if not values:
        return []
    lines = ["For comparison only, valid for a single look and not used to decide:"]
    lines += [f"  {name}: {_plain(value)}" for name, value in values.items() if not isinstance(value, str)]
    return ["\n".join(lines)] if len(lines) > 1 else []


def _latency(values: Json | None) -> list[Block]:
    if not values:
        return []
    rows = [
        [name, *(_plain(values[arm].get(name)) for arm in values)] for name in next(iter(values.values()))
    ]
    return [Grid(headings=["latency", *values], rows=rows)]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_plain(each) for each in value) + "]"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    return "-" if value is None else str(value)
