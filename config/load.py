"""Loads a configuration file: every fault at once, each with file, line and column."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final

from pydantic import ValidationError

from config.explain import empty_values, explain
from config.problems import ConfigError, Path, Problem
from config.salvage import salvage
from config.schema import Config
from config.source import Source, read_yaml

# A thousand routes written out take about 300 KiB; reading more than this takes seconds.
FILE_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration together with the text it came from."""

    config: Config
    source: Source
    digest: str
    """`sha256:` and the hexadecimal digest of the configuration's canonical JSON."""
    directory: FilePath
    """What relative paths in the configuration are relative to; absolute."""

    @property
    def state_directory(self) -> FilePath:
        """Where state is kept, as an absolute path."""
        return self.directory / self.config.state.directory

    def problem(self, path: Path, problem: str, remedy: str, *, key: bool = False) -> Problem:
        """A problem found after loading, at the place of the value it is about."""
        return self.source.problem(path, problem, remedy, key=key)


def load_file(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Loaded:
    """Read, interpolate and check a configuration file.

    Raises:
        ConfigError: it cannot be read or used; holds every problem found.
    """
    file = FilePath(path)
    return load_text(_read(file), file=str(path), environ=environ, directory=file.absolute().parent)


def load_text(
    text: str, *, file: str, environ: Mapping[str, str], directory: FilePath | None = None
) -> Loaded:
    """The same for text that is already there.

    Args:
        file: the name in messages; nothing is read from it.
        directory: what relative paths are relative to; left out = the working directory.

    Raises:
        ConfigError: it cannot be used; holds every problem found.
    """
    reading = read_yaml(text, file, environ)
    value = _without_extensions(reading.value)
    problems, spoiled = list(reading.problems), list(reading.spoiled)
    for fault in empty_values(value):
        if fault.path not in spoiled:
            problems.append(reading.source.problem(fault.path, fault.problem, fault.remedy))
            spoiled.append(fault.path)
    config: Config | None
    try:
        config = Config.from_json(value)
    except ValidationError as error:
        faults = explain(error, value, reading.source, spoiled)
        problems += faults
        config = salvage(value, faults)
    loaded: Loaded | None = None
    if config is not None:
        loaded = Loaded(
            config=config,
            source=reading.source,
            digest=config_digest(config),
            directory=(directory or FilePath.cwd()).absolute(),
        )
    if loaded is None or problems:
        raise ConfigError(problems, rest=loaded)
    return loaded


def _without_extensions(value: object) -> object:
    """Leave out the top-level keys that start with `x-`: the place for anchors that are used elsewhere."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if not key.startswith("x-")}


def config_digest(config: Config) -> str:
    """SHA-256 over the canonical JSON of a configuration; equal for files that mean the same."""
    canonical = json.dumps(config.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _read(file: FilePath) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _unreadable(file, "there is no such file", "check the path") from None
    except IsADirectoryError:
        raise _unreadable(file, "this is a directory", "name a file in it") from None
    except PermissionError:
        raise _unreadable(file, "it may not be read", "give this user permission to read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(file, f"it cannot be read: {reason}", "check the path") from None
    if len(data) > FILE_BYTES_MAX:
        problem = f"it is larger than {FILE_BYTES_MAX // 1024} KiB"
        raise _unreadable(file, problem, "check that it is a configuration, or split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        before = data[data.rfind(b"\n", 0, error.start) + 1 : error.start]
        problem = f"byte 0x{data[error.start]:02x} is not UTF-8"
        remedy = "save the file as UTF-8"
        column = len(before.decode("utf-8", "replace")) + 1
        raise _unreadable(file, problem, remedy, line=line, column=column) from None


def _unreadable(file: FilePath, problem: str, remedy: str, *, line: int = 0, column: int = 0) -> ConfigError:
    return ConfigError(
        [Problem(file=str(file), line=line, column=column, path="", problem=problem, remedy=remedy)]
    )
