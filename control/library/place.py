"""Where a store is: people name a state directory, a database file or a URL."""

from __future__ import annotations

from pathlib import Path

DATABASE = "headgate.db"


def url_of(place: str | Path) -> str:
    """The URL of the database at *place*."""
    text = str(place)
    if "://" in text:
        return text
    path = Path(text).expanduser().absolute()
    if path.is_dir() or path.suffix not in (".db", ".sqlite", ".sqlite3"):
        path.mkdir(parents=True, exist_ok=True)
        path /= DATABASE
    return f"sqlite:///{path}"


def base_of(place: str | Path) -> Path | None:
    """The directory that relative places of artifacts are below; None for a database on a server."""
    url = url_of(place)
    return Path(url.removeprefix("sqlite:///")).parent if url.startswith("sqlite:///") else None
