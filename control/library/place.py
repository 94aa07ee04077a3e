"""Where a store is: people name a state directory, a database file, a URL, or a configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from control.store.errors import StoreError

DATABASE: Final = "headgate.db"
_CONFIGURATIONS: Final = (".yaml", ".yml", ".json")


def url_of(place: str | Path) -> str:
    """The URL of the database at *place*; of a configuration file, that of its `state` section.

    Raises:
        StoreError: the configuration cannot be used, or says where the URL is and it is not there.
    """
    text = str(place)
    if "://" in text:
        return text
    path = Path(text).expanduser().absolute()
    if is_configuration(path):
        return configured(path)[0]
    if path.is_dir() or path.suffix not in (".db", ".sqlite", ".sqlite3"):
        path.mkdir(parents=True, exist_ok=True)
        path /= DATABASE
    return f"sqlite:///{path}"


def base_of(place: str | Path) -> Path | None:
    """The directory that relative places of artifacts are below; None for a database on a server."""
    path = Path(place).expanduser().absolute()
    if "://" not in str(place) and is_configuration(path):
        return configured(path)[1]
    url = url_of(place)
    return Path(url.removeprefix("sqlite:///")).parent if url.startswith("sqlite:///") else None


def is_configuration(path: Path) -> bool:
    """Whether *path* is meant as a configuration file."""
    return path.suffix in _CONFIGURATIONS and not path.is_dir()


def configured(path: Path) -> tuple[str, Path]:
    """The URL of the database and the state directory that a configuration file names.

    Raises:
        StoreError: as `url_of`.
    """
    from config.load import load_file
    from config.problems import ConfigError

    try:
        loaded = load_file(path, os.environ)
    except ConfigError as error:
        raise StoreError(f"{path} cannot be used: {error.problems[0]}") from error
    state, directory = loaded.config.state, loaded.state_directory.absolute()
    file = None if state.database_file is None else loaded.directory / state.database_file
    url = named_url(state.database, state.database_env, file)
    return url or f"sqlite:///{directory / DATABASE}", directory


def named_url(url: str | None, variable: str | None, file: Path | None) -> str:
    """The URL of a database from where it is named; empty when nothing names one.

    What is wrong is said without the URL, which may hold a password.

    Raises:
        StoreError: the variable or the file that was named holds none.
    """
    where, found = "", url or ""
    if variable is not None:
        where, found = f"the environment variable {variable}", os.environ.get(variable, "")
    elif file is not None:
        where = str(file)
        try:
            found = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{where}: the URL of the database cannot be read: {error}") from error
    if where and not found.strip():
        raise StoreError(f"{where} is empty or not there; it must hold the URL of the database")
    return found.strip()
