"""`headgate wait`: returns when a rollout has come out, with an exit code for scripts."""

from __future__ import annotations

import time
from typing import Any

import click

from config.values import InvalidValueError, parse_duration
from control.cli.client import AdminClient, admin_options, rollout_path
from control.cli.failure import ExitCode, UndecidedError, UnreachableError
from control.cli.output import Format, emit, format_option
from control.cli.rollouts import FINISHED, standing

_LOOK_S = 0.25
_GOALS = ("promoted", "rolled_back", "paused", "decision")


class Duration(click.ParamType[float]):
    """A length of time as in the configuration: 90, 90s, 10m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except InvalidValueError as error:
            self.fail(str(error), param, ctx)


@click.command("wait")
@click.argument("route")
@click.option(
    "--for",
    "goal",
    type=click.Choice(_GOALS),
    default="decision",
    show_default=True,
    help="What to wait for.",
)
@click.option("--timeout", type=Duration(), default="10m", show_default=True, help="How long to wait.")
@format_option
@admin_options
def wait_command(client: AdminClient, route: str, goal: str, timeout: float, output: Format) -> int:
    """Wait until a rollout is promoted, rolled back or paused.

    Exit code 0 when it came out as asked, 1 when it ended otherwise, 4 when the time ran out, 3 when
    Headgate cannot be reached. With --for decision, 0 is promoted and 1 is any other end.

    ROUTE is the name of a route or the id of a rollout; the rollout that is there now is waited for, even if
    the route gets another one meanwhile.
    """
    deadline = time.monotonic() + timeout
    rollout = client.get(rollout_path(route))
    name = rollout["id"]
    lost: UnreachableError | None = None
    while not _over(rollout["state"], goal):
        left = deadline - time.monotonic()
        if left <= 0:
            if lost is not None:
                raise lost
            emit(rollout, output, standing(rollout))
            raise UndecidedError(
                f"{route} is still {rollout['state']}", "wait longer with --timeout, or see headgate why"
            )
        time.sleep(min(_LOOK_S, left))
        try:
            rollout = client.get(rollout_path(name))
            lost = None
        except UnreachableError as error:
            # A control process that is restarted comes back; what it decided is not lost.
            lost = error
    emit(rollout, output, standing(rollout))
    wanted = "promoted" if goal == "decision" else goal
    return ExitCode.OK if rollout["state"] == wanted else ExitCode.NEGATIVE


def _over(state: str, goal: str) -> bool:
    return state == goal or state in FINISHED
