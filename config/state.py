"""The schema of `state`: where Headgate keeps what must outlive it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from config.base import Fault, Model, refuse
from config.fields import Text
from config.values import InvalidValueError
from config.webhooks import Variable

_SCHEMES: Final = ("sqlite", "postgresql", "postgres")


def parse_database(value: object) -> str:
    """The URL of a database, without a secret in it.

    Raises:
        InvalidValueError: it is none, or it has a password, which this does not repeat.
    """
    remedy = "write sqlite:////path or postgresql://user@host/name"
    if not isinstance(value, str):
        raise InvalidValueError("a database must be a URL", remedy)
    try:
        parts = urlsplit(value)
        secret = parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True)
    except ValueError:
        raise InvalidValueError("this is no URL of a database", remedy) from None
    if secret:
        raise InvalidValueError(
            "a database's URL must not hold its password",
            "put the whole URL into an environment variable (database_env) or a file (database_file)",
        )
    if parts.scheme not in _SCHEMES or not value.startswith(f"{parts.scheme}://"):
        raise InvalidValueError(f"{value!r} is no URL of a database that can be used", remedy)
    return value


DatabaseUrl = Annotated[
    str,
    BeforeValidator(parse_database),
    WithJsonSchema({"type": "string", "pattern": rf"^({'|'.join(_SCHEMES)})://[^\\s]*$"}),
]


class State(Model):
    """Where Headgate keeps what must outlive it."""

    directory: Annotated[Text, Field(min_length=1)] = ".headgate"
    """Directory for the database, counter pages and the last table; relative to the configuration file."""
    database: DatabaseUrl | None = None
    """URL of the database, without a password; left out = SQLite in the directory."""
    database_env: Variable | None = None
    """Environment variable that holds the URL, where that is a secret."""
    database_file: Annotated[Text, Field(min_length=1)] | None = None
    """File that holds it, relative to the configuration file; read when the control process starts."""

    def control_arguments(self, base: Path) -> tuple[str, ...]:
        """How the control process is told: never with a secret, which others could see in its command.

        Args:
            base: the directory of the configuration file.
        """
        if self.database is not None:
            return ("--database", self.database)
        if self.database_env is not None:
            return ("--database-env", self.database_env)
        return () if self.database_file is None else ("--database-file", str(base / self.database_file))

    @model_validator(mode="after")
    def _one_database(self) -> Self:
        given = [
            name for name in ("database", "database_env", "database_file") if getattr(self, name) is not None
        ]
        refuse(
            "state",
            [
                Fault(path=(name,), problem=f"says the same as {given[0]}", remedy="keep one of them")
                for name in given[1:]
            ],
        )
        return self
