"""`headgate shadow`: what shadows have shown, and rules for what they may differ in."""

from __future__ import annotations

from typing import Any

import click

from control.cli.client import AdminClient, admin_options
from control.cli.failure import CommandError
from control.cli.output import Format, emit, format_option
from control.cli.shadows import shadow_blocks


@click.group("shadow", no_args_is_help=True)
def shadow_command() -> None:
    """Show what shadows have shown, and rules for what they may differ in."""


@shadow_command.command("report")
@click.argument("which", required=False, metavar="[ROUTE[/SHADOW]]")
@format_option
@admin_options
def report_command(client: AdminClient, which: str | None, output: Format) -> None:
    """Show copies, agreement, latencies and differences of every shadow, or of those of one route."""
    found = _chosen(client, which)
    blocks = [block for shadow in found for block in shadow_blocks(shadow)]
    emit({"shadows": found}, output, blocks or "no route has a shadow")


@shadow_command.command("ignore-rule")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--shadow", "which", metavar="ROUTE[/SHADOW]", help="Which shadow, if there are several.")
@admin_options
def ignore_rule_command(client: AdminClient, paths: tuple[str, ...], which: str | None) -> None:
    """Print the configuration that leaves PATH (or the path that differs most) out of the comparison."""
    found = _chosen(client, which)
    if len(found) != 1:
        names = ", ".join(f"{shadow['route']}/{shadow['shadow']}" for shadow in found) or "none"
        raise CommandError(f"it is not clear which shadow is meant: {names}", "name it with --shadow")
    shadow = found[0]
    differing = [entry["path"] for entry in shadow["differences"]["paths"]]
    wanted = list(paths) or [path for path in differing if path.startswith("/")][:1]
    if not wanted:
        raise CommandError("no path differs", "see headgate shadow report")
    for path in wanted:
        if not path.startswith("/"):
            raise CommandError(f"{path!r} is not a path", "copy one from headgate shadow report")
        if path not in differing:
            click.echo(f"# no pair has differed at {path} so far", err=True)
    emit(_rule(shadow, wanted), "yaml", "")


def _rule(shadow: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    """What to write into the configuration: the rules that are there, and those for `paths`."""
    ignore = list(dict.fromkeys([*shadow["ignore"], *paths]))
    entry: dict[str, Any] = {"upstream": shadow["upstream"]}
    if shadow["shadow"] != shadow["upstream"]:
        entry["name"] = shadow["shadow"]
    entry["compare"] = {"json": {"ignore": ignore}}
    return {"routes": [{"name": shadow["route"], "shadows": [entry]}]}


def _chosen(client: AdminClient, which: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/shadows")["shadows"]
    if which is None:
        return found
    route, _, name = which.partition("/")
    chosen = [one for one in found if one["route"] == route and name in ("", one["shadow"])]
    if not chosen:
        known = ", ".join(f"{one['route']}/{one['shadow']}" for one in found) or "none"
        raise CommandError(f"there is no shadow {which!r}", f"there are: {known}")
    return chosen
