"""A registry on an empty store of each database, with a clock of its own and people to act."""

from pathlib import Path

import pytest

from control.audit.events import Origin
from control.store.engine import Store
from tests.control.store import conftest as stores
from tests.helpers.registry import Bench, People, shelf_on

postgres_socket = stores.postgres_socket
store = stores.store
database_url = stores.database_url


@pytest.fixture
async def shelf(store: Store, tmp_path: Path) -> Bench:
    """Everything the registry is made of, by the default rules."""
    return shelf_on(store, tmp_path / "artifacts")


@pytest.fixture
def people() -> People:
    """Who acts."""
    return People(*(Origin(actor=name) for name in ("alice", "bob", "carol", "dave")))
