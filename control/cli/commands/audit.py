"""`headgate audit`: who did what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from control.cli.client import AdminClient, admin_options
from control.cli.output import Format, Grid, emit, format_option


@click.command("audit")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many events.")
@click.option("--type", "kind", help="Only this type of event, such as rollout_rolled_back.")
@click.option("--actor", help="Only what this person or process did.")
@click.option("--resource", metavar="TYPE:ID", help="Only what was done to this, such as rollout:r-01j...")
@format_option
@admin_options
def audit_command(
    client: AdminClient, limit: int, kind: str | None, actor: str | None, resource: str | None, output: Format
) -> None:
    """Show who did what, newest last."""
    answer = client.get("/v1/audit", order="newest", limit=limit, type=kind, actor=actor, resource=resource)
    events = list(reversed(answer["events"]))
    grid = Grid(
        headings=["#", "time", "severity", "who", "what", "to", "why"],
        rows=[_row(event) for event in events],
        right=frozenset({0}),
    )
    emit({"events": events, "size": answer["size"]}, output, [grid] if events else "no event fits")


def _row(event: Mapping[str, Any]) -> list[str]:
    details = event.get("details", {})
    return [
        str(event["sequence"]),
        str(event["at"])[:19].replace("T", " "),
        str(event["severity"]),
        str(event["actor"]),
        str(event["type"]).replace("_", " "),
        str(details.get("route") or event["resource_id"]),
        str(details.get("reason", "")),
    ]
