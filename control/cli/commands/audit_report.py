"""`headgate audit report`: what happened in a period, and what is evidence for which control."""

from __future__ import annotations

from pathlib import Path

import click

from control.cli.client import AdminClient, admin_options
from control.cli.commands.audit_export import unix


@click.command("report")
@click.option(
    "--since", metavar="DATE", help="First day, YYYY-MM-DD in UTC; default: 30 days before the end."
)
@click.option("--until", metavar="DATE", help="The day after the last; default: now.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["html", "json", "yaml"]),
    default="yaml",
    show_default=True,
    help="HTML is one page without scripts.",
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="File; default: standard output.")
@admin_options
def report_command(
    client: AdminClient, since: str | None, until: str | None, kind: str, to: Path | None
) -> None:
    """Write a compliance report: totals, exceptions, integrity, and evidence by control.

    It lists what is on record for an assessor to look at. It does not state that any requirement is met.
    """
    given = {"since": unix(since, "--since"), "until": unix(until, "--until")}
    body = b"".join(client.stream("/v1/audit/report", format=kind, **given))
    if to is None:
        click.echo(body.decode(), nl=False)
        return
    to.write_bytes(body)
    click.echo(f"written to {to}")
