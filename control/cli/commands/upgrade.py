"""`headgate upgrade`: the running Headgate becomes the program that is on disk now."""

from __future__ import annotations

import time
from typing import Any

import click

from control.cli.client import AdminClient, admin_options
from control.cli.failure import ProblemsError, UndecidedError, UnreachableError
from control.cli.output import Format, emit, format_option

POLL_SECONDS = 0.2


@click.command("upgrade")
@click.option("--timeout", type=click.FloatRange(min=1), default=120.0, metavar="SECONDS", show_default=True)
@format_option
@admin_options
def upgrade_command(client: AdminClient, timeout: float, output: Format) -> None:
    """Become the program that is on disk now, without failing a request.

    Install the new version first, into the same place. New workers accept requests before the old ones stop;
    these finish what they have begun. The configuration is read again, listeners and workers included. If the
    new program does not start, or refuses the configuration, the old one goes on and the exit code is 2.
    """
    before = client.post("/-/upgrade")
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        now = _look(client)
        refused = now.get("upgrade_refused") or []
        if refused and refused != before["upgrade_refused"]:
            # The first entry tells one refusal from another.
            raise ProblemsError([str(problem) for problem in refused[1:]])
        if now.get("ready") and now.get("boot") not in (None, before["boot"]):
            emit({"upgraded": True, "boot": now["boot"]}, output, "upgraded")
            return
    raise UndecidedError(f"not done within {timeout:g} s", "look at headgate status and at the log")


def _look(client: AdminClient) -> dict[str, Any]:
    """What /readyz says; nothing while one agent makes room for the next."""
    try:
        value = client.exchange("GET", "/readyz").value
    except UnreachableError:
        return {}
    return value if isinstance(value, dict) else {}
