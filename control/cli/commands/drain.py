"""`headgate drain`: the running Headgate stops accepting and finishes what is in flight."""

from __future__ import annotations

import click

from control.cli.client import AdminClient, admin_options
from control.cli.output import Format, emit, format_option


@click.command("drain")
@format_option
@admin_options
def drain_command(client: AdminClient, output: Format) -> None:
    """Stop accepting, finish what is in flight.

    /readyz answers 503 from now on. Requests in flight go on for at most timeouts.drain.
    """
    answer = client.post("/-/drain")
    emit(answer, output, "draining")
