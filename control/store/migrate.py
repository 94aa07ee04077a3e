"""Runs the Alembic migrations inside one transaction of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_VERSION_TABLE: Final = "alembic_version"


class SchemaError(Exception):
    """The database's schema is none that this version can work with."""


def steps() -> list[str]:
    """The revisions that this version knows, oldest first: each is in a file of its name."""
    return sorted(path.stem.removeprefix("step_") for path in (_MIGRATIONS / "versions").glob("step_*.py"))


def is_current(connection: Connection) -> bool:
    """Whether the schema of *connection* is at the newest step; only reads.

    Without Alembic, whose import is a tenth of what a start of control takes and is in vain nearly always.

    Raises:
        SchemaError: the database was written by a newer version.
    """
    known = steps()
    present: set[str] = set()
    if inspect(connection).has_table(_VERSION_TABLE):
        present = set(connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalars())  # noqa: S608
    if not present <= set(known):
        unknown = ", ".join(sorted(present - set(known)))
        raise SchemaError(
            f"has schema {unknown}, which this version does not know; run the version that wrote it or newer"
        )
    return present == set(known[-1:])


def upgrade(connection: Connection) -> None:
    """Bring the schema of *connection* to the newest step; the caller commits.

    Raises:
        SchemaError: the database was written by a newer version.
    """
    if is_current(connection):
        return
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
