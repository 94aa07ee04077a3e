"""`headgate power`: how many requests decisions take, at given rates or at those of a running route."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from control.cli.client import AdminClient, admin_options
from control.cli.failure import CommandError
from control.cli.figures import duration, share
from control.cli.options import plan_of, plan_options, share_option
from control.cli.output import Block, Format, Grid, emit, format_option

# Less is what 64 groups of keys that are all alike show by chance.
_UNLIKE_FROM = 1.5
_WORDS = {
    "rollback": "rolled back for it",
    "rollback_least": "least that any such test needs",
    "promote": "shown to be harmless, if it is",
    "fixed": "one look at the end (80 % power)",
}


@click.command("power")
@click.argument("live", required=False, metavar="[ROUTE]")
@share_option("--control-rate", default="", help="Failures among control's requests.")
@share_option("--canary-rate", default="", help="Failures among the canary's; left out = twice control's.")
@share_option("--weight", default="", help="The canary's share.")
@click.option("--rate", type=click.FloatRange(0.01, 1e6), help="Requests per second on the route.")
@plan_options
@format_option
@admin_options
def power_command(
    client: AdminClient,
    live: str | None,
    control_rate: float | None,
    canary_rate: float | None,
    weight: float | None,
    rate: float | None,
    config: str | None,
    route: str | None,
    preset: str,
    output: Format,
) -> None:
    """Say about how many canary requests it takes to decide.

    With ROUTE, the failure rate, the pace, the weight and the error budgets are those of the running route
    unless they are given; without it they have to be given.
    """
    from control.rollout.forecast import power

    unlike = 1.0
    if live is not None:
        seen = _live(client, live)
        control_rate = seen["control_rate"] if control_rate is None else control_rate
        weight = seen["weight"] if weight is None else weight
        rate = seen["rate"] if rate is None else rate
        preset = seen["preset"] if config is None else preset
        unlike = seen["overdispersion"]
    if control_rate is None or weight is None:
        raise CommandError(
            "the failure rate and the canary's weight are not known",
            "name a route, or give --control-rate and --weight",
        )
    if not 0 < weight < 1:
        raise CommandError(
            f"--weight {weight:g} leaves nothing to compare", "give a share between 0% and 100%"
        )
    plan = plan_of(config, route, preset)
    if live is not None and config is None:
        plan = replace(plan, **seen["budgets"])
    found = power(
        plan,
        control_rate=control_rate,
        canary_rate=min(0.99, 2 * control_rate or 0.01) if canary_rate is None else canary_rate,
        weight=weight,
        requests_per_second=rate,
    ).to_json()
    rows = [
        [
            words,
            _requests(found[name]),
            "-" if found[name]["seconds"] is None else duration(found[name]["seconds"]),
        ]
        for name, words in _WORDS.items()
    ]
    headline = (
        f"A canary with {share(weight)} of the requests that fails {share(found['canary_rate'])} where "
        f"control fails {share(control_rate)}; chance of a needless rollback {share(found['alpha'])}, of a "
        f"wrong promotion {share(found['alpha_promote'])}:"
    )
    grid = Grid(headings=["", "canary requests", "time"], rows=rows, right=frozenset({1, 2}))
    blocks: list[Block] = [headline, grid]
    if found["burst_seconds"] and found["rollback"]["canary_requests"] is not None:
        blocks.append(
            f"Without the plan's burst of {duration(found['burst_seconds'])}: as no short time may say much,"
            " a rollback takes several times as many requests with it. headgate simulate says how many."
        )
    if unlike >= _UNLIKE_FROM:
        blocks.append(
            f"Were requests independent: the keys of {live} differ {unlike:.1f} times as much as by chance"
            " in failures, so it takes as many times more, and more as they stay longer."
        )
    emit({**found, "overdispersion": unlike}, output, blocks)


def _live(client: AdminClient, name: str) -> dict[str, Any]:
    """What a running route looks like now."""
    status = client.get("/v1/status")
    for route in status["routes"]:
        if route["name"] != name:
            continue
        stable = [variant for variant in route["variants"] if "stable" in variant["roles"]]
        canary = [variant for variant in route["variants"] if "canary" in variant["roles"]]
        total = (stable or route["variants"])[0]["total"]
        rollout = next((one for one in status["rollouts"] if one["route"] == name), None)
        paces = [variant["last_minute"]["requests_per_second"] or 0.0 for variant in route["variants"]]
        weight = canary[0]["set_weight"] if canary else None
        return {
            "control_rate": total["failure_rate"],
            "weight": weight if weight and weight < 1 else _next_weight(rollout),
            "rate": sum(paces) or None,
            "overdispersion": ((rollout or {}).get("analysis") or {}).get("overdispersion", 1.0),
            "preset": rollout["plan"]["preset"] if rollout else "balanced",
            "budgets": {
                "alpha": rollout["plan"]["alpha"],
                "alpha_promote": rollout["plan"]["alpha_promote"],
                "burst_s": rollout["plan"]["burst_seconds"],
            }
            if rollout
            else {},
        }
    known = ", ".join(route["name"] for route in status["routes"])
    raise CommandError(f"there is no route {name!r}", f"use one of: {known}" if known else "")


def _next_weight(rollout: dict[str, Any] | None) -> float | None:
    return None if rollout is None else float(rollout["steps"][0]["weight"])


def _requests(row: dict[str, Any]) -> str:
    return "never" if row["canary_requests"] is None else f"{row['canary_requests']:,}".replace(",", " ")
