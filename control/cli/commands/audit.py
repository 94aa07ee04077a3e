"""`headgate audit`: who did what, and the proof that it is so."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from control.cli.client import AdminClient, admin_options
from control.cli.output import Format, Grid, emit, format_option

# Each in a file of its own, imported when it is asked for.
_COMMANDS = {
    "verify": "audit_verify",
    "export": "audit_export",
    "report": "audit_report",
    "show": "audit_proofs",
    "proof": "audit_proofs",
    "consistency": "audit_proofs",
    "checkpoint": "audit_proofs",
    "log": "audit_change",
    "erase": "audit_change",
    "trim": "audit_change",
    "rotate-key": "audit_change",
}


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"control.cli.commands.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_") + "_command")
        return command


@click.group("audit", cls=_Group, invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many events.")
@click.option("--type", "kind", help="Only this type of event, such as rollout_rolled_back.")
@click.option("--actor", help="Only what this person or process did.")
@click.option("--resource", metavar="TYPE:ID", help="Only what was done to this, such as rollout:r-01j...")
@click.option(
    "--severity", type=click.Choice(["info", "warning", "error", "critical"]), help="Only this one."
)
@click.option("--tag", multiple=True, help="Only events with this tag; may be repeated.")
@format_option
@admin_options
@click.pass_context
def audit_command(
    context: click.Context,
    client: AdminClient,
    limit: int,
    kind: str | None,
    actor: str | None,
    resource: str | None,
    severity: str | None,
    tag: tuple[str, ...],
    output: Format,
) -> None:
    """Show who did what, newest last; or verify, prove and export it."""
    if context.invoked_subcommand is not None:
        return
    answer = client.get(
        "/v1/audit" + "".join(f"{'&' if at else '?'}tag={one}" for at, one in enumerate(tag)),
        order="newest",
        limit=limit,
        type=kind,
        actor=actor,
        resource=resource,
        severity=severity,
    )
    events = list(reversed(answer["events"]))
    emit(
        {"events": events, "size": answer["size"]},
        output,
        [event_grid(events)] if events else "no event fits",
    )


def event_grid(events: list[dict[str, Any]]) -> Grid:
    """Events as a table."""
    return Grid(
        headings=["#", "time", "severity", "who", "what", "to", "why"],
        rows=[_row(event) for event in events],
        right=frozenset({0}),
    )


def _row(event: Mapping[str, Any]) -> list[str]:
    details = event.get("details", {})
    return [
        str(event["sequence"]),
        str(event["at"])[:19].replace("T", " "),
        str(event["severity"]),
        str(event["actor"]) if event["actor"] is not None else "(erased)",
        str(event["type"]).replace("_", " "),
        str(details.get("route") or event["resource_id"]),
        str(details.get("reason", "")),
    ]
