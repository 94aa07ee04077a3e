"""`headgate registry`: releases, their stages and names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from control.cli.client import AdminClient
from control.cli.direct import registry_options
from control.cli.failure import CommandError, ExitCode
from control.cli.output import Format, Grid, emit, format_option
from control.cli.releases import comparison_blocks, lineage_text, one_release, release_grid
from control.cli.uploads import (
    artifacts_of,
    draft_body,
    model_path,
    progress_bar,
    refuse_known,
    release_path,
    stored,
)

if TYPE_CHECKING:
    from control.registry.mlflow_import import Found, MlflowServer

_REASON = click.option("--reason", default="", help="Why; kept in history and audit log.")
_GLASS = click.option("--break-glass", is_flag=True, help="Go without approval; takes a reason, is critical.")


@click.group("registry")
def registry_command() -> None:
    """Register releases, move them between stages, name them.

    A release is named NAME:VERSION, or NAME@ALIAS. With --store these commands need no running Headgate.
    """


@registry_command.command("register")
@click.argument("name")
@click.argument("version")
@click.argument("artifact", type=click.Path(path_type=Path), required=False)
@click.option("--artifact", "given", type=click.Path(path_type=Path), help="The same as ARTIFACT.")
@click.option("--metrics", "metrics_file", type=click.Path(path_type=Path), help="JSON file of figures.")
@click.option("--framework", default="", help="What it was made with, such as sklearn.")
@click.option("--description", default="", help="For people.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="A figure; repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=TEXT", help="A word; repeatable.")
@click.option("--config", "config", type=click.Path(path_type=Path), help="JSON file: how it is served.")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="Where it answers; repeatable.")
@click.option("--parent", "parents", multiple=True, metavar="NAME:VERSION", help="What it was made from.")
@click.option("--dataset", default="", help="What it learned from.")
@click.option("--commit", default="", help="The code that made it.")
@format_option
@registry_options
def register(
    client: AdminClient,
    name: str,
    version: str,
    artifact: Path | None,
    given: Path | None,
    output: Format,
    **said: Any,
) -> None:
    """Store an artifact and register it as NAME VERSION. ARTIFACT is a file or a directory.

    What is registered never changes; the same version again is refused.
    """
    source = artifact or given
    if source is None or (artifact is not None and given is not None):
        raise click.UsageError("name one artifact")
    body = draft_body(name=name, version=version, **said)
    refuse_known(client, name, version)
    body["artifact"] = stored(client, source)
    body["uri"] = str(source)
    answer = client.post("/v1/models", body)
    emit(answer, output, f"registered {name}:{answer['version']}, {answer['artifact']['digest']}")


@registry_command.command("validate")
@click.argument("name")
@click.argument("version", required=False)
@click.option("--artifact", type=click.Path(path_type=Path), help="File or directory that must be readable.")
@click.option("--metrics", "metrics_file", type=click.Path(path_type=Path), help="JSON file of figures.")
@click.option("--threshold", "thresholds", multiple=True, help="What must hold: 'auc>=0.9'; repeatable.")
@click.option("--against", metavar="ALIAS|VERSION", help="No figure may be worse than this release's.")
@click.option("--tolerance", type=float, default=0.0, help="How much worse it may be: 0.01 is one percent.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the checks there, for a pipeline.")
@format_option
@registry_options
def validate(client: AdminClient, name: str, output: Format, junit: Path | None, **said: Any) -> int:
    """Tell whether NAME VERSION could be registered and is good enough; writes nothing.

    Exits with 1 when a check fails.
    """
    from control.cli.validation import checks, junit_text

    done = list(checks(client, name, **said))
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_text(junit_text(name, done), "utf-8")
    rows = [["pass" if check.passed else "fail", check.name, check.text] for check in done]
    valid = all(check.passed for check in done)
    value = {
        "model": name,
        "valid": valid,
        "checks": [{"name": each.name, "passed": each.passed, "text": each.text} for each in done],
    }
    emit(value, output, [Grid(headings=["", "check", ""], rows=rows)])
    return int(ExitCode.OK if valid else ExitCode.NEGATIVE)


@registry_command.command("get")
@click.argument("release")
@format_option
@registry_options
def get(client: AdminClient, release: str, output: Format) -> None:
    """Show a release with its history."""
    answer = client.get(release_path(release))
    emit(answer, output, one_release(answer))


@registry_command.command("list")
@click.argument("name", required=False)
@click.option("--contains", help="Only models whose name contains this.")
@click.option("--stage", help="Only releases in this stage.")
@click.option("--tag", help="Only with this tag: team, or team=risk.")
@click.option("--metric", help="Only where this holds, such as 'auc>=0.9'.")
@click.option("--alias", help="Only what this alias stands for.")
@click.option("--approved", metavar="STAGE", help="Only with a granted request for this stage.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@click.option("--offset", type=click.IntRange(0), default=0, help="How many to pass over.")
@format_option
@registry_options
def list_releases(client: AdminClient, output: Format, **wanted: Any) -> None:
    """List releases, by name and the newest version first."""
    answer = client.get("/v1/models", **wanted)
    shown = release_grid(answer["models"])
    more = f"{answer['total']} in all" if answer["total"] > len(answer["models"]) else ""
    blocks: list[str | Grid] = [shown, more] if more else [shown]
    emit(answer, output, blocks if answer["models"] else "no release fits")


@registry_command.command("latest")
@click.argument("name")
@click.option("--stage", help="Only in this stage.")
@click.option("--approved", is_flag=True, help="Only with a granted request.")
@click.option("--prereleases", is_flag=True, help="Pre-releases, too.")
@format_option
@registry_options
def latest(
    client: AdminClient, name: str, stage: str | None, approved: bool, prereleases: bool, output: Format
) -> None:
    """Show the release of NAME with the highest version."""
    flags = {"approved": "true" if approved else None, "prereleases": "true" if prereleases else None}
    answer = client.get(f"{model_path(name)}/latest", stage=stage, **flags)
    emit(answer, output, f"{answer['name']}:{answer['version']}  {answer['stage']}")


@registry_command.command("promote")
@click.argument("release")
@click.argument("stage")
@_REASON
@_GLASS
@format_option
@registry_options
def promote(
    client: AdminClient, release: str, stage: str, reason: str, break_glass: bool, output: Format
) -> None:
    """Move RELEASE to STAGE. Where that takes approval, there must be one."""
    body = {"stage": stage, "reason": reason, "break_glass": break_glass}
    answer = client.post(f"{release_path(release)}/promote", body)
    emit(answer, output, f"{answer['name']}:{answer['version']} is in {answer['stage']}")


@registry_command.command("archive")
@click.argument("release")
@_REASON
@format_option
@registry_options
def archive(client: AdminClient, release: str, reason: str, output: Format) -> None:
    """Put RELEASE away."""
    answer = client.post(f"{release_path(release)}/archive", {"reason": reason})
    emit(answer, output, f"{answer['name']}:{answer['version']} is in {answer['stage']}")


@registry_command.command("rollback")
@click.argument("name")
@click.option("--stage", default="production", show_default=True, help="Which stage.")
@_REASON
@format_option
@registry_options
def rollback(client: AdminClient, name: str, stage: str, reason: str, output: Format) -> None:
    """Give STAGE of NAME back to the release it held before. Nobody has to agree."""
    answer = client.post(f"{model_path(name)}/rollback", {"stage": stage, "reason": reason})
    emit(answer, output, f"{answer['name']}:{answer['version']} is in {answer['stage']} again")


@registry_command.command("compare")
@click.argument("name")
@click.argument("old")
@click.argument("new")
@format_option
@registry_options
def compare(client: AdminClient, name: str, old: str, new: str, output: Format) -> None:
    """Put versions OLD and NEW of NAME side by side, with what was seen of them live."""
    answer = client.get(f"{model_path(name)}/compare", **{"from": old, "to": new})
    emit(answer, output, comparison_blocks(answer))


@registry_command.command("alias")
@click.argument("name")
@click.argument("alias", required=False)
@click.argument("version", required=False)
@click.option("--revert", is_flag=True, help="Let it stand again for what it stood for before.")
@click.option("--remove", is_flag=True, help="Let it stand for nothing.")
@_REASON
@_GLASS
@format_option
@registry_options
def alias(
    client: AdminClient,
    name: str,
    alias: str | None,
    version: str | None,
    revert: bool,
    remove: bool,
    reason: str,
    break_glass: bool,
    output: Format,
) -> None:
    """Let ALIAS of NAME stand for VERSION. Without VERSION show its past; without ALIAS list all."""
    if sum((revert, remove, version is not None)) > 1 or (alias is None and (revert or remove)):
        raise click.UsageError("give a version, --revert or --remove, and the alias")
    path = f"{model_path(name)}/aliases"
    if alias is None:
        answer = client.get(path)
        rows = [[f"@{each['alias']}", each["release"], each["previous"] or "-"] for each in answer["aliases"]]
        emit(
            answer, output, [Grid(headings=["alias", "release", "before"], rows=rows)] if rows else "no alias"
        )
        return
    path += f"/{quote(alias, safe='')}"
    if remove:
        answer = client.delete(path)
    elif revert:
        answer = client.post(f"{path}/revert", {"reason": reason})
    elif version is not None:
        answer = client.put(path, {"version": version, "reason": reason, "break_glass": break_glass})
    else:
        answer = client.get(path)
        steps = [
            [step["at"][:19], step["actor"], step["from"] or "-", step["to"] or "-", step["reason"]]
            for step in answer["history"]
        ]
        grid = Grid(headings=["time", "who", "from", "to", "why"], rows=steps)
        emit(answer, output, [grid] if steps else f"{name}@{alias} has stood for nothing")
        return
    emit(answer, output, f"{name}@{alias} stands for {answer['release'] or 'nothing'}")


@registry_command.command("lineage")
@click.argument("release")
@format_option
@registry_options
def lineage(client: AdminClient, release: str, output: Format) -> None:
    """Show what RELEASE was made from, and what was made from it."""
    answer = client.get(f"{release_path(release)}/lineage")
    emit(answer, output, lineage_text(answer))


@registry_command.command("download")
@click.argument("release")
@click.argument("target", type=click.Path(path_type=Path), required=False)
@format_option
@registry_options
def download(client: AdminClient, release: str, target: Path | None, output: Format) -> None:
    """Write the artifact of RELEASE to TARGET, verified. TARGET must not exist."""
    answer = client.get(release_path(release))
    artifact, artifacts = artifacts_of(client, answer)
    target = target or Path(artifact.name or f"{answer['name']}-{answer['version']}")
    with progress_bar("fetching", artifact.size) as progress:
        artifacts.fetch(artifact, target, progress=progress)
    emit({"release": release, "path": str(target), "digest": artifact.digest}, output, f"{target}: verified")


@registry_command.command("verify")
@click.argument("release")
@format_option
@registry_options
def verify(client: AdminClient, release: str, output: Format) -> int:
    """Read the stored artifact of RELEASE and compare it with its digest; 1 when it is not the same."""
    from control.errors import ArtifactError

    answer = client.get(release_path(release))
    artifact, artifacts = artifacts_of(client, answer)
    problem = ""
    try:
        with progress_bar("reading", artifact.size) as progress:
            artifacts.verify(artifact, progress=progress)
    except ArtifactError as error:
        problem = str(error)
    value = {"release": release, "digest": artifact.digest, "verified": not problem, "problem": problem}
    emit(value, output, problem or f"{release}: {artifact.size} bytes are what was registered")
    return int(ExitCode.NEGATIVE if problem else ExitCode.OK)


@registry_command.command("import-mlflow")
@click.argument("url")
@click.argument("name")
@click.option("--version", "versions", multiple=True, help="Only this version; repeatable.")
@click.option("--mlflow-token", envvar="MLFLOW_TRACKING_TOKEN", help="Bearer token of the server.")
@format_option
@registry_options
def import_mlflow(
    client: AdminClient,
    url: str,
    name: str,
    versions: tuple[str, ...],
    mlflow_token: str | None,
    output: Format,
) -> None:
    """Register the versions of model NAME of the MLflow server at URL, with artifacts, metrics and tags.

    What is registered already is passed over.
    """
    from control.errors import HeadgateError
    from control.registry.mlflow_import import MlflowServer

    try:
        server = MlflowServer(url, token=mlflow_token)
        candidates = server.versions(name, only=versions)
        done = [_imported(client, server, found) for found in candidates]
    except HeadgateError as error:
        raise CommandError(error.message, error.remedy) from error
    lines = [f"{each['release']}: {'imported' if each['imported'] else each['why']}" for each in done]
    emit(done, output, "\n".join(lines))


def _imported(client: AdminClient, server: MlflowServer, found: Found) -> dict[str, Any]:
    try:
        refuse_known(client, found.name, found.version)
    except CommandError as error:
        return {"release": found.label, "imported": False, "why": str(error)}
    with server.fetched(found) as path:
        body = found.body() | {"artifact": stored(client, path)}
    client.post("/v1/models", body)
    return {"release": found.label, "imported": True, "why": ""}
