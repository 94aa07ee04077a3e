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

from config.explain import explain
from config.problems import ConfigError, Path, Problem
from config.schema import Config
from config.source import Source, read_yaml

# A thousand routes written out take about 300 KiB.
FILE_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration together with the text it came from."""

    config: Config
    source: Source
    digest: str
    """"sha256:" and the hexadecimal digest of the configuration's canonical JSON."""
    directory: FilePath
    """What relative paths in the configuration are relative to."""

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
    """The same for text that is already there; ``file`` is only the name in messages.

    Raises:
        ConfigError: it cannot be used; holds every problem found.
    """
    value, source, problems = read_yaml(text, file, environ)
    config: Config | None = None
    try:
        config = Config.from_json(value)
    except ValidationError as error:
        spoiled = {problem.path for problem in problems}
        # What could not be read is missing from the values, which must not be reported a second time.
        problems += [p for p in explain(error, value, source) if p.path not in spoiled]
    if problems or config is None:
        raise ConfigError(problems)
    return Loaded(config=config, source=source, digest=digest(config), directory=directory or FilePath.cwd())


def digest(config: Config) -> str:
    """SHA-256 over the canonical JSON of a configuration; equal for files that mean the same."""
    canonical = json.dumps(config.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _read(file: FilePath) -> str:
    def refuse(problem: str, remedy: str) -> ConfigError:
        return ConfigError(
            [Problem(file=str(file), line=0, column=0, path="", problem=problem, remedy=remedy)]
        )

    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise refuse("there is no such file", "check the path") from None
    except IsADirectoryError:
        raise refuse("this is a directory", "name the file in it") from None
    except PermissionError:
        raise refuse("the file may not be read", "give this user permission to read it") from None
    except OSError as error:
        raise refuse(f"the file cannot be read: {error.strerror}", "check the path") from None
    if len(data) > FILE_BYTES_MAX:
        raise refuse(f"the file is larger than {FILE_BYTES_MAX} bytes", "name a configuration file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problem = Problem(
            file=str(file),
            line=line,
            column=column,
            path="",
            problem=f"byte 0x{data[error.start]:02x} is not UTF-8",
            remedy="save the file as UTF-8",
        )
        raise ConfigError([problem]) from None
