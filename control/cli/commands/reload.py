"""`headgate reload`: the running Headgate reads its configuration file again."""

from __future__ import annotations

import click

from control.cli.client import AdminClient, admin_options
from control.cli.output import Format, emit, format_option


@click.command("reload")
@format_option
@admin_options
def reload_command(client: AdminClient, output: Format) -> None:
    """Read the configuration file again.

    No request is dropped. A file with problems is refused, the problems are printed and the old configuration
    stays in force. Changes of the file are noticed without this command, too.
    """
    answer = client.post("/-/reload")
    emit(answer, output, "reloaded")
