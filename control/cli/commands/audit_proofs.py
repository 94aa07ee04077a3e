"""`headgate audit show`, `proof`, `consistency`, `checkpoint`: evidence about the log, piece by piece."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from control.cli.client import AdminClient, admin_options
from control.cli.output import Format, emit, format_option


@click.command("show")
@click.argument("event")
@format_option
@admin_options
def show_command(client: AdminClient, event: str, output: Format) -> None:
    """Show one event with everything it says."""
    found = client.get(f"/v1/audit/{quote(event, safe='')}")
    emit(found, "yaml" if output == "text" else output, "")


@click.command("proof")
@click.argument("event")
@click.option("--size", type=click.IntRange(1), help="Of the log as it was with so many events.")
@format_option
@admin_options
def proof_command(client: AdminClient, event: str, size: int | None, output: Format) -> None:
    """Prove that an event is in the log: its hash, the path to the root, and the signed checkpoint."""
    found = client.get(f"/v1/audit/{quote(event, safe='')}/proof", size=size)
    text = [
        f"event {found['leaf_index'] + 1} of {found['size']}",
        f"leaf  {found['leaf_hash']}",
        *(f"path  {step}" for step in found["path"]),
        f"root  {found['root']}",
        *(["", found["checkpoint"].rstrip()] if found["checkpoint"] else []),
    ]
    emit(found, output, "\n".join(text))


@click.command("consistency")
@click.argument("first", type=click.IntRange(1))
@click.argument("second", type=click.IntRange(1), required=False)
@format_option
@admin_options
def consistency_command(client: AdminClient, first: int, second: int | None, output: Format) -> None:
    """Prove that the log of SECOND events (default: now) begins with that of FIRST."""
    found = client.get("/v1/audit/consistency", first=first, second=second)
    text = [
        f"first   {found['first']['size']} {found['first']['root']}",
        f"second  {found['second']['size']} {found['second']['root']}",
        *(f"path    {step}" for step in found["path"]),
    ]
    emit(found, output, "\n".join(text))


@click.command("checkpoint")
@click.option("--sign", is_flag=True, help="Sign the log as it is now, instead of showing the newest.")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), help="Also write the note to a file."
)
@format_option
@admin_options
def checkpoint_command(client: AdminClient, sign: bool, save: Path | None, output: Format) -> None:
    """Show the newest signed checkpoint; keep it where nobody who could change the log can."""
    path = "/v1/audit/checkpoint"
    found = client.post(path) if sign else client.get(path)
    if save is not None:
        save.write_text(found["note"], "utf-8")
    emit(found, output, found["note"].rstrip())
