"""The commands that steer a rollout: promote, pause, resume, abort, rollback and restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from control.cli.catalogue import CATALOGUE
from control.cli.client import AdminClient, admin_options, rollout_path
from control.cli.failure import CommandError
from control.cli.output import Format, emit, format_option
from control.cli.rollouts import FINISHED, outcome_line, standing

_DETAILS = {
    "promote": "The canary gets all requests, whatever the evidence says so far. A rollout that has not "
    "started, or that waits for approval at a step, is let on instead.",
    "pause": "The canary keeps its weight and its guardrails; only steps forward wait for `headgate resume`.",
    "resume": "It goes on from the step it was paused in.",
    "abort": "The canary gets no more requests, and nothing is said about its release.",
    "rollback": "No request reaches the canary from now on, and its release is quarantined. Also possible "
    "after a promotion.",
    "restart": "It begins at the first step with no evidence. A release that was rolled back may be tried "
    "again, if --reason says why.",
}


# What a freeze forbids.
_WIDENING = ("promote", "resume", "restart")
# What a pipeline does when it fails, without knowing how far it came.
_ENDING = ("abort", "rollback")


def _command(verb: str) -> click.Command:
    @admin_options
    def act(
        client: AdminClient,
        route: str,
        reason: str,
        output: Format,
        *,
        override_freeze: bool = False,
        release: str = "",
        if_serving: bool = False,
    ) -> None:
        body: dict[str, object] = {"reason": reason}
        if release or if_serving:
            rollout = client.get(rollout_path(route))
            spared = _spared(rollout, release, if_serving)
            if spared:
                emit(rollout, output, spared)
                return
            # By its id: whatever follows on the route meanwhile is not meant.
            route = rollout["id"]
        if override_freeze:
            body["override_freeze"] = True
        answer = client.post(rollout_path(route, verb), body)
        emit(answer, output, outcome_line(verb, answer))

    ending = "ROUTE is the name of a route or the id of a rollout."
    act.__doc__ = f"{CATALOGUE[verb].help}\n\n{_DETAILS[verb]}\n\n{ending}"
    reason = click.option("--reason", default="", help="Why; kept with the decision and in the audit log.")
    command = format_option(reason(click.argument("route")(act)))
    if verb in _WIDENING:
        command = click.option(
            "--override-freeze", is_flag=True, help="Also during a freeze; needs --reason and is audited."
        )(command)
    if verb in _ENDING:
        command = click.option(
            "--release",
            default="",
            metavar="NAME",
            help="Only if the rollout is about this release or variant.",
        )(command)
        command = click.option(
            "--if-serving", is_flag=True, help="Do nothing when the canary gets no requests any more."
        )(command)
    return click.command(verb)(command)


def _spared(rollout: Mapping[str, Any], release: str, if_serving: bool) -> str:
    """Why there is nothing to do; empty when there is."""
    if release and release not in (rollout.get("release"), rollout["canary"]):
        about = rollout.get("release") or rollout["canary"]
        if not if_serving:
            raise CommandError(f"the rollout of {rollout['route']} is about {about}, not {release}")
        return f"nothing to do: {rollout['route']} carries {about}, not {release}"
    if if_serving and rollout["state"] in FINISHED - {"promoted"}:
        return f"nothing to do: {standing(rollout)}"
    return ""


promote_command = _command("promote")
pause_command = _command("pause")
resume_command = _command("resume")
abort_command = _command("abort")
rollback_command = _command("rollback")
restart_command = _command("restart")
