"""Rollouts in words and tables, from the JSON of the admin interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control.cli.explain import findings_grid, need_line
from control.cli.figures import duration, moment, seconds, share
from control.cli.output import Block, Grid

Json = Mapping[str, Any]

FINISHED = frozenset({"promoted", "rolled_back", "aborted", "expired", "superseded"})


def standing(rollout: Json) -> str:
    """Where a rollout stands, in one line."""
    state = str(rollout["state"]).replace("_", " ")
    text = f"{rollout['route']}: {rollout['canary']} is {state} at {share(rollout['weight'])}"
    if rollout["state"] in FINISHED:
        return text + (f": {rollout['reason']}" if rollout["reason"] else "")
    steps = rollout["steps"]
    if rollout["state"] != "pending":
        text += f", step {rollout['step'] + 1} of {len(steps)}"
    if rollout.get("step_seconds") is not None:
        text += f" for {duration(rollout['step_seconds'])}"
    if rollout["state"] == "paused" and rollout.get("paused_by"):
        text += f", paused by {rollout['paused_by']}"
    return text


def outcome_line(verb: str, answer: Json) -> str:
    """What is said after a command: what was asked, and where the rollout stands now."""
    if answer.get("state") == "none":
        return f"{answer['route']}: {verb} done; the route has no rollout any more"
    return f"{verb}: {standing(answer)}"


def rollout_blocks(rollout: Json, *, details: bool = True) -> list[Block]:
    """A rollout for `headgate status`: its line, what it waits for, its guardrails."""
    lines = [standing(rollout)]
    lines += [
        f"  {'done' if gate['met'] else 'waits'}  {gate['name']}: {gate['text']}" for gate in rollout["gates"]
    ]
    # The last analysis of a rollout that has ended says nothing about now.
    analysis = None if rollout["state"] in FINISHED else rollout.get("analysis")
    lines += [f"  {need_line(need)}" for need in rollout.get("needs") or ()]
    if analysis and analysis.get("note"):
        lines.append(f"  {analysis['note']}")
    if rollout.get("expires_in_seconds") is not None and rollout["state"] == "progressing":
        lines.append(f"  undecided, it would wait for {duration(rollout['expires_in_seconds'])} more")
    if rollout["state"] == "paused":
        lines.append(f"  to go on: {_going_on(rollout)}")
    if rollout.get("problem"):
        lines.append(f"  problem: {rollout['problem']}")
    if rollout.get("quarantine"):
        lines += quarantine_lines(rollout["quarantine"], rollout.get("deployment"))
    blocks: list[Block] = ["\n".join(lines)]
    if details and analysis and analysis["findings"]:
        blocks.append(findings_grid(analysis))
    return blocks


def _going_on(rollout: Json) -> str:
    """What a person may say to a paused rollout, by what has paused it."""
    command = "promote" if rollout["paused_by"] == "approval" else "resume"
    text = f'headgate {command} {rollout["route"]} --reason "..."'
    if str(rollout["paused_by"]).startswith("webhook "):
        text += " asks the service again, promote goes on without it"
    return text


def quarantine_lines(row: Json, deployment: object) -> list[str]:
    """That a release is condemned, and how it is tried again: by another deployment, if one brought it in."""
    again = (
        f"deployment create {row['route']} ... --lift-quarantine" if deployment else f"restart {row['route']}"
    )
    return [
        f"  {row['release'] or row['variant']} is quarantined, since {moment(row['since'])}",
        f'  to try it again: headgate {again} --reason "..."',
    ]


def stream_grid(route: Json) -> Grid | None:
    """What streams of tokens have said in the last minute; None where none were looked at."""
    rows = []
    for variant in route["variants"]:
        found = variant["last_minute"].get("streams")
        if found is None:
            continue
        pace = found["tokens_per_second"]
        rows.append(
            [
                variant["name"],
                str(found["n"]),
                *(seconds(found["first_token"][name]) for name in ("p50", "p95", "p99")),
                "-" if pace is None else f"{pace:.3g}",
                seconds(found["token_gap"]["p99"]),
                *(str(found[name]) for name in ("stalled", "truncated", "broken", "unread")),
            ]
        )
    if not rows:
        return None
    return Grid(
        headings=[
            "streams",
            "n",
            "first token p50",
            "p95",
            "p99",
            "tokens/s",
            "gap p99",
            "stalled",
            "truncated",
            "broken",
            "unread",
        ],
        rows=rows,
        right=frozenset(range(1, 11)),
    )


def route_grid(route: Json) -> Grid:
    """The variants of a route: the weight set beside the one observed, and figures of the last minute."""
    rows = []
    for variant in route["variants"]:
        recent, latency = variant["last_minute"], variant["last_minute"]["latency"]
        rate = recent["requests_per_second"]
        rows.append(
            [
                variant["name"],
                "/".join(variant["roles"]),
                variant["release"] or "-",
                share(variant["set_weight"]),
                share(variant["observed_weight"]),
                "-" if rate is None else f"{rate:.1f}",
                str(variant["total"]["requests"]),
                share(recent["failure_rate"]),
                *(seconds(latency[name]) for name in ("p50", "p95", "p99")),
                str(variant["verdict"]).replace("_", " "),
            ]
        )
    return Grid(
        headings=[
            "variant",
            "role",
            "release",
            "set",
            "seen",
            "req/s",
            "total",
            "failing",
            "p50",
            "p95",
            "p99",
            "verdict",
        ],
        rows=rows,
        right=frozenset(range(3, 11)),
    )
