"""`headgate proxy`: the data plane alone."""

from __future__ import annotations

from pathlib import Path

import click

from control.cli.configuration import load


@click.command("proxy")
@click.argument("config", metavar="CONFIG")
@click.option("--state", metavar="DIR", help="State directory.  [default: .headgate beside CONFIG]")
def proxy_command(config: str, state: str | None) -> None:
    """Serve with the configured weights only; nothing is judged.

    Needs neither the control extra nor a database. Otherwise as `headgate run`.
    """
    from control.cli.serving import serve

    serve(load(config), state=None if state is None else Path(state), control=False, written=True)
