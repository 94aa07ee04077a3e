"""An empty store on each supported database."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from control.store.engine import Store, open_store, sqlite_url
from tests.helpers import postgres

_numbers = itertools.count()


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


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store with nothing in it."""
    opened = await open_store(database_url)
    yield opened
    await opened.close()
