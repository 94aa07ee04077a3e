"""`headgate replay`: stored decisions computed again, also with other settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from control.cli.client import AdminClient, admin_options
from control.cli.failure import CommandError, ExitCode
from control.cli.figures import evidence, moment
from control.cli.output import Block, Format, Grid, emit, format_option

_DECISION = re.compile(r"d-[0-9a-z]{26}")


@click.command("replay")
@click.argument("what", required=False, metavar="DECISION|ROLLOUT|ROUTE")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set this otherwise, such as alpha=0.05."
)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the decision from a file with its JSON.",
)
@format_option
@admin_options
def replay_command(
    client: AdminClient, what: str | None, settings: tuple[str, ...], file: Path | None, output: Format
) -> int:
    """Compute a decision again from what was stored with it.

    With a decision: that one. With a rollout or a route: every decision about it that was made from figures.
    Exit code 0 when everything came out as it was stored, 1 when something differs.
    """
    from control.plans.problems import PlanError
    from control.rollout.replay import ReplayError, replay

    changed = dict(_setting(text) for text in settings)
    try:
        found = [replay(decision, changed) for decision in _decisions(client, what, file)]
    except ReplayError as error:
        raise CommandError(str(error), "choose another one with headgate why") from error
    except PlanError as error:
        first = error.problems[0]
        place = ".".join(map(str, first.path))
        raise CommandError(f"{place}: {first.problem}", first.remedy) from error
    if not found:
        raise CommandError("no decision about it was made from figures", "name another rollout")
    blocks: list[Block] = [block for one in found for block in _blocks(one)]
    emit([one.to_json() for one in found], output, blocks)
    return ExitCode.OK if all(one.same for one in found) else ExitCode.NEGATIVE


def _decisions(client: AdminClient, what: str | None, file: Path | None) -> list[dict[str, Any]]:
    if file is not None:
        import json

        try:
            value = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise CommandError(f"{file} is not JSON: {error}", "save it with headgate why -o json") from error
        return value if isinstance(value, list) else [value]
    if what is None:
        raise CommandError("there is nothing to replay", "name a decision, a rollout or a route")
    if _DECISION.fullmatch(what):
        return [client.get(f"/v1/decisions/{quote(what)}")]
    listed = client.get("/v1/decisions", rollout=what, limit=1000)["decisions"]
    if not listed:
        raise CommandError(f"there is no decision about {what}", "see headgate status for the routes")
    whole = [client.get(f"/v1/decisions/{row['id']}") for row in reversed(listed)]
    return [decision for decision in whole if decision.get("analysis") and decision.get("evidence")]


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"--set {text}: is not NAME=VALUE", "write --set alpha=0.05")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise CommandError(f"--set {name}: the value cannot be read", "put it in quotes") from error


def _blocks(one: Any) -> list[Block]:
    stored, now = one.stored, one.analysis
    lines = [f"Decision {one.decision} ({one.kind.replace('_', ' ')}), made {moment(stored['at'])}"]
    if one.settings:
        lines.append("  with " + ", ".join(f"{name} = {value}" for name, value in one.settings.items()))
    before, after = stored["verdict"].replace("_", " "), now["verdict"].replace("_", " ")
    if one.same:
        lines.append(f"  reproduced: verdict {after}, evidence of harm {evidence(now['log_e'])}")
    elif one.verdict_changed:
        lines.append(f"  verdict {after} instead of {before}: {now['reason']}")
    else:
        lines.append(f"  verdict {after}, as before; figures differ")
    lines += [f"  {name}: the evidence was not kept for these margins" for name in one.missing]
    lines += [f"  note: {text}" for text in one.caveats]
    blocks: list[Block] = ["\n".join(lines)]
    if one.differences:
        rows = [[each.what, _shown(each.stored), _shown(each.replayed)] for each in one.differences]
        blocks.append(Grid(headings=["figure", "stored", "replayed"], rows=rows))
    return blocks


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value)
