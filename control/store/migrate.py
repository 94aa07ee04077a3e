"""Runs the Alembic migrations inside one transaction of ours."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The database's schema is none that this version can work with."""


def is_current(connection: Connection) -> bool:
    """Whether the schema of *connection* is at the newest step; only reads.

    Raises:
        SchemaError: the database was written by a newer version.
    """
    scripts = ScriptDirectory.from_config(_config())
    known = {script.revision for script in scripts.walk_revisions()}
    present = set(MigrationContext.configure(connection).get_current_heads())
    if not present <= known:
        unknown = ", ".join(sorted(present - known))
        raise SchemaError(
            f"has schema {unknown}, which this version does not know; run the version that wrote it or newer"
        )
    return present == set(scripts.get_heads())


def upgrade(connection: Connection) -> None:
    """Bring the schema of *connection* to the newest step; the caller commits.

    Raises:
        SchemaError: the database was written by a newer version.
    """
    if is_current(connection):
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
