"""An empty store on each supported database."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from control.store.engine import Store, open_store, sqlite_url
from tests.helpers import postgres
from tests.helpers.control import migrated_file

_numbers = itertools.count()
_TEMPLATE = "migrated"
_migrated: set[str] = set()


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """The socket directory of a running PostgreSQL server."""
    if not postgres.available():
        pytest.skip("PostgreSQL is not installed")
    with postgres.server() as directory:
        yield directory


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "headgate.db")
        return
    socket, name = request.getfixturevalue("postgres_socket"), f"test_{next(_numbers)}"
    yield postgres.create_database(socket, name)
    postgres.drop_database(socket, name)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store with nothing in it."""
    if request.param == "sqlite":
        await migrated_file(tmp_path / "headgate.db")
        opened = await open_store(sqlite_url(tmp_path / "headgate.db"))
        yield opened
        await opened.close()
        return
    socket, name = request.getfixturevalue("postgres_socket"), f"test_{next(_numbers)}"
    await _migrate_template(socket)
    opened = await open_store(postgres.create_database(socket, name, template=_TEMPLATE))
    yield opened
    await opened.close()
    postgres.drop_database(socket, name)


async def _migrate_template(socket: str) -> None:
    if socket not in _migrated:
        await (await open_store(postgres.create_database(socket, _TEMPLATE))).close()
        _migrated.add(socket)
