"""The commands that steer a rollout: promote, pause, resume, abort, rollback and restart."""

from __future__ import annotations

import click

from control.cli.catalogue import CATALOGUE
from control.cli.client import AdminClient, admin_options, rollout_path
from control.cli.output import Format, emit, format_option
from control.cli.rollouts import outcome_line

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


def _command(verb: str) -> click.Command:
    @admin_options
    def act(
        client: AdminClient, route: str, reason: str, output: Format, *, override_freeze: bool = False
    ) -> None:
        body: dict[str, object] = {"reason": reason}
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
    return click.command(verb)(command)


promote_command = _command("promote")
pause_command = _command("pause")
resume_command = _command("resume")
abort_command = _command("abort")
rollback_command = _command("rollback")
restart_command = _command("restart")
