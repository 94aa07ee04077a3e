"""`headgate audit log`, `erase`, `trim`, `rotate-key`: the few things that change what the log keeps."""

from __future__ import annotations

import json
from typing import Any

import click

from config.counted import counted
from control.cli.client import AdminClient, admin_options
from control.cli.failure import CommandError
from control.cli.output import Format, emit, format_option


@click.command("log")
@click.argument("kind", metavar="TYPE")
@click.argument("resource", metavar="RESOURCE")
@click.option("--resource-type", help="What the resource is; default: what events of this type are about.")
@click.option("--action", help="What was done to it.")
@click.option("--severity", type=click.Choice(["info", "warning", "error", "critical"]))
@click.option("--detail", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option("--tag", multiple=True, help="May be repeated.")
@format_option
@admin_options
def log_command(
    client: AdminClient,
    kind: str,
    resource: str,
    resource_type: str | None,
    action: str | None,
    severity: str | None,
    detail: tuple[str, ...],
    tag: tuple[str, ...],
    output: Format,
) -> None:
    """Write an event that happened elsewhere, such as `headgate audit log access_granted carol`."""
    given = {"resource_type": resource_type, "action": action, "severity": severity}
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    body |= {"type": kind, "resource_id": resource, "tags": list(tag), "details": _details(detail)}
    event = client.post("/v1/audit", body)
    emit(event, output, f"event {event['sequence']}: {event['id']}")


@click.command("erase")
@click.option("--actor", required=True, help="Whose personal fields to erase.")
@click.option("--names", is_flag=True, help="Also the name itself, not only address, user agent and session.")
@click.option("--reason", required=True, help="Kept in the log.")
@format_option
@admin_options
def erase_command(client: AdminClient, actor: str, names: bool, reason: str, output: Format) -> None:
    """Erase personal fields of events; hashes, proofs and signatures stay valid."""
    answer = client.post("/v1/audit/erase", {"actor": actor, "names": names, "reason": reason})
    emit(answer, output, f"erased in {counted(answer['events'], 'event')}")


@click.command("trim")
@click.option(
    "--before", required=True, metavar="DATE", help="Remove events before this day, YYYY-MM-DD, UTC."
)
@click.option("--archive", required=True, help="Where the export of them is kept; goes into the log.")
@click.option("--reason", default="", help="Kept in the log.")
@format_option
@admin_options
def trim_command(client: AdminClient, before: str, archive: str, reason: str, output: Format) -> None:
    """Remove old events after you have exported them; their hashes stay, so every proof stays valid."""
    answer = client.post("/v1/audit/trim", {"before": before, "archive": archive, "reason": reason})
    emit(answer, output, f"removed {counted(answer['events'], 'event')}, the log begins at {answer['first']}")


@click.command("rotate-key")
@click.option("--reason", required=True, help="Kept in the log.")
@format_option
@admin_options
def rotate_key_command(client: AdminClient, reason: str, output: Format) -> None:
    """Sign with a new key from now on; the log keeps that both keys agreed to it."""
    answer = client.post("/v1/audit/key", {"reason": reason})
    emit(answer, output, answer["key"])


def _details(pairs: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise CommandError(f"--detail {pair!r} is not NAME=VALUE", "write for example --detail ticket=42")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
