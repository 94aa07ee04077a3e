"""The commands that steer a rollout: promote, pause, resume, abort, rollback and restart."""

from __future__ import annotations

import click

from control.cli.catalogue import CATALOGUE
from control.cli.client import AdminClient, admin_options, rollout_path
from control.cli.output import Format, emit, format_option
from control.cli.rollouts import outcome_line

_DETAILS = {
    "promote": "The canary becomes the only variant that gets requests, whatever the evidence says so far.\n"
    "At a step that waits for approval, and for a rollout that has not started, this lets it go on.",
    "pause": "The canary keeps its weight and its guardrails; only steps forward wait for `headgate resume`.",
    "resume": "Goes on from the step it was paused in.",
    "abort": "The canary gets no more requests, and nothing is said about its release.",
    "rollback": "No request reaches the canary from now on, and its release is held to be bad.",
    "restart": "Begins at the first step with no evidence; lifts what a rollback said of the release.",
}


def _command(verb: str) -> click.Command:
    @admin_options
    def act(client: AdminClient, route: str, reason: str, output: Format) -> None:
        answer = client.post(rollout_path(route, verb), {"reason": reason})
        emit(answer, output, outcome_line(verb, route, answer))

    act.__doc__ = (
        f"{CATALOGUE[verb].help}\n\n{_DETAILS[verb]}\n\nROUTE is the name of a route or the id of a rollout."
    )
    command = format_option(
        click.option("--reason", default="", help="Why; is written into the decision and the audit log.")(
            click.argument("route")(act)
        )
    )
    return click.command(verb)(command)


promote_command = _command("promote")
pause_command = _command("pause")
resume_command = _command("resume")
abort_command = _command("abort")
rollback_command = _command("rollback")
restart_command = _command("restart")
