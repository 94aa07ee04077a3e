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
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "headgate.db")
    return postgres.create_database(request.getfixturevalue("postgres_socket"), f"test_{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store with nothing in it."""
    if request.param == "sqlite":
        await migrated_file(tmp_path / "headgate.db")
        url = sqlite_url(tmp_path / "headgate.db")
    else:
        socket = request.getfixturevalue("postgres_socket")
        await _migrate_template(socket)
        url = postgres.create_database(socket, f"test_{next(_numbers)}", template=_TEMPLATE)
    opened = await open_store(url)
    yield opened
    await opened.close()


async def _migrate_template(socket: str) -> None:
    if socket not in _migrated:
        await (await open_store(postgres.create_database(socket, _TEMPLATE))).close()
        _migrated.add(socket)
