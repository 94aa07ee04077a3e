"""Logs for tests: events without a meaning, a store with a key, and a look into the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from control.audit.events import AuditEvent, Draft, Origin
from control.audit.record import AuditRecord
from control.audit.witness import Witness
from control.store import audit, audit_search
from control.store.audit_search import AuditFilter
from control.store.engine import Store, open_store, sqlite_url
from tests.helpers.control import migrated_file

ALICE = Origin(actor="alice", address="192.0.2.7", user_agent="curl/8", session="s1")
BOB = Origin(actor="bob", address="192.0.2.8")
START = 1_700_000_000.0


def draft(
    number: int, kind: str = "data_access", *, severity: str = "info", tags: tuple[str, ...] = ()
) -> Draft:
    """An event that only has a number."""
    return Draft(
        type=kind,
        severity=severity,
        resource_type="data",
        resource_id=f"set-{number}",
        action="read",
        details={"number": number},
        tags=tags,
    )


async def write(
    store: Store, *events: AuditEvent | Draft, origin: Origin = ALICE, at: float = START
) -> list[AuditRecord]:
    """Append events in one transaction."""
    async with store.write() as connection:
        return await audit.append(connection, events, origin=origin, at=at, config_digest="sha256:c")


async def fill(store: Store, count: int) -> None:
    """Append so many events, in one transaction."""
    await write(store, *(draft(number) for number in range(count)))


async def everything(store: Store) -> list[AuditRecord]:
    """Every event, the oldest first."""
    async with store.read() as connection:
        return await audit_search.page(
            connection, AuditFilter(), limit=100_000, after=None, newest_first=False
        )


@asynccontextmanager
async def log_in(directory: Path) -> AsyncIterator[tuple[Store, Witness]]:
    """The log of a state directory, with its key, as a control process has it."""
    path = _place(directory)
    await migrated_file(path)
    store = await open_store(sqlite_url(path))
    try:
        witness = Witness(store, directory)
        await witness.start()
        yield store, witness
    finally:
        await store.close()


def _place(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory / "headgate.db"
