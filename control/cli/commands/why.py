"""`headgate why`: a decision in words, with the numbers it was made from."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import click

from control.cli.client import AdminClient, admin_options, rollout_path
from control.cli.deployments import deployment_blocks
from control.cli.explain import explain
from control.cli.failure import CommandError, ExitCode
from control.cli.output import Block, Format, emit, format_option
from control.cli.rollouts import rollout_blocks

_DECISION = re.compile(r"d-[0-9a-z]{26}")


@click.command("why")
@click.argument("what", required=False, metavar="[DECISION|ROUTE]")
@format_option
@admin_options
def why_command(client: AdminClient, what: str | None, output: Format) -> int | None:
    """Explain a decision with the numbers it was made from.

    Without an argument: the latest decision. With a route (or the id of a rollout): its latest decision, and
    what the rollout waits for now; where there is none, the route's deployment. With the id of a decision:
    that one. Everything shown was stored with the decision.
    """
    if what is not None and _DECISION.fullmatch(what):
        decision = client.get(f"/v1/decisions/{quote(what)}")
        emit(decision, output, explain(decision))
        return None
    if what is None:
        found = client.get("/v1/decisions", limit=1)["decisions"]
        if not found:
            raise CommandError("nothing has been decided yet", "see headgate status for what is awaited")
        emit(_whole(client, found[0], output), output, explain(found[0]))
        return None
    found = client.exchange("GET", rollout_path(what))
    if found.status == 404:
        # A deployment without a rollout is judged by its health.
        other = client.exchange("GET", f"/v1/deployments/{quote(what, safe='')}")
        if other.status == 200:
            emit(other.value, output, deployment_blocks(other.value))
            return None
    if found.status >= 400:
        raise client.failure(found)
    rollout = found.value
    latest: dict[str, Any] | None = next(iter(rollout["decisions"]), None)
    blocks: list[Block] = explain(latest) if latest else ["Nothing has been decided about this rollout yet."]
    blocks += ["Now:", *rollout_blocks(rollout, details=False)]
    told = {"decision": None, "rollout": rollout} if latest is None else _whole(client, latest, output)
    emit(told, output, blocks)
    return ExitCode.OK if latest else ExitCode.NEGATIVE


def _whole(client: AdminClient, decision: dict[str, Any], output: Format) -> dict[str, Any]:
    """For programs: with the evidence, from which it can be replayed; lists leave it out."""
    if output == "text":
        return decision
    found: dict[str, Any] = client.get(f"/v1/decisions/{quote(decision['id'])}")
    return found
