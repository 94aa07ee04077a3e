"""What a command says when it registers a release: texts into fields, an artifact into the store."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from control.cli.client import AdminClient
from control.cli.failure import CommandError

if TYPE_CHECKING:
    from control.registry.artifacts import Artifacts
    from control.registry.release import Artifact


def draft_body(
    *,
    metrics: Sequence[str],
    metrics_file: Path | None,
    tags: Sequence[str],
    config: Path | None,
    **said: Any,
) -> dict[str, Any]:
    """The body of a registration, without its artifact."""
    body: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in said.items()
    }
    said_here = {name: _number(name, text) for name, text in _pairs("--metric", metrics)}
    body["metrics"] = ({} if metrics_file is None else figures(metrics_file)) | said_here
    body["tags"] = dict(_pairs("--tag", tags))
    if config is not None:
        body["config"] = _object(config, "--config")
    return body


def stored(client: AdminClient, path: Path) -> dict[str, Any]:
    """Put an artifact where the registry keeps them; returns how a registration names it."""
    from control.cli.distant import kept_by
    from control.errors import HeadgateError
    from control.registry.packing import Source

    place = client.get("/v1/registry")["artifacts"]
    try:
        size = _size(Source.of(path).path)
        with progress_bar("storing", 2 * size) as progress:
            artifact = kept_by(client, place, "").put(path, progress=progress)
    except HeadgateError as error:
        raise CommandError(error.message, error.remedy) from error
    return {
        "digest": artifact.digest,
        "size": artifact.size,
        "name": artifact.name,
        "kind": artifact.kind,
    }


def artifacts_of(client: AdminClient, release: Mapping[str, Any]) -> tuple[Artifact, Artifacts]:
    """The artifact of a release as the API shows it, and where it is kept."""
    from control.cli.distant import kept_by
    from control.errors import HeadgateError
    from control.registry.release import Artifact

    said = release["artifact"]
    artifact = Artifact(digest=said["digest"], size=said["size"], name=said["name"], kind=said["kind"])
    try:
        where = release_path(f"{release['name']}:{release['version']}")
        return artifact, kept_by(client, client.get("/v1/registry")["artifacts"], f"{where}/artifact")
    except HeadgateError as error:
        raise CommandError(error.message, error.remedy) from error


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while it is a terminal; what it yields is told how many more bytes are done."""
    from control.errors import HeadgateError

    try:
        if not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total or None)
            yield lambda count: bar.advance(task, count)
    except HeadgateError as error:
        if what == "reading":
            raise
        raise CommandError(error.message, error.remedy) from error


def model_path(name: str) -> str:
    """`/v1/models/<name>`.

    Raises:
        CommandError: no model can have this name, and no path may be made of it.
    """
    from control.errors import InvalidError
    from control.registry.names import check_name

    try:
        check_name(name)
    except InvalidError as error:
        raise CommandError(error.message, error.remedy) from error
    return f"/v1/models/{quote(name, safe='')}"


def release_path(release: str) -> str:
    """The path of a release named NAME:VERSION or NAME@ALIAS."""
    for mark in "@:":
        name, found, rest = release.partition(mark)
        if found and rest and name:
            version = f"@{rest}" if mark == "@" else rest
            return f"{model_path(name)}/versions/{quote(version, safe='@')}"
    raise CommandError(f"{release!r} names no release", "write NAME:VERSION or NAME@ALIAS")


def refuse_known(client: AdminClient, name: str, version: str) -> None:
    """Say so before gigabytes are stored, not afterwards."""
    answer = client.exchange("GET", release_path(f"{name}:{version}"))
    if answer.status == 200:
        raise CommandError(
            f"{name}:{answer.value['version']} is registered since {answer.value['created_at'][:19]}",
            "a release never changes; register another version",
        )
    if answer.status != 404:
        client.get(release_path(f"{name}:{version}"))


def figures(path: Path) -> dict[str, float]:
    """A JSON file of metrics: an object of numbers."""
    value = _object(path, "--metrics")
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise CommandError(f"--metrics {path}: {name} is no number", "keep figures only in it")
    return {name: float(number) for name, number in value.items()}


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.lstat().st_size for each in path.rglob("*"))
    return path.stat().st_size


def _pairs(option: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, given, value = text.partition("=")
        if not given or not name:
            raise CommandError(f"{option} {text!r} is no pair", "write NAME=VALUE")
        yield name, value


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise CommandError(f"--metric {name}: {text!r} is no number", "write NAME=0.91") from error


def _object(path: Path, option: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{option} {path}: {error}", "name a JSON file") from error
    if not isinstance(value, dict):
        raise CommandError(f"{option} {path} holds no object", "put it in braces")
    return value
