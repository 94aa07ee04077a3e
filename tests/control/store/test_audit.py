"""The audit log's rows: gapless, unchangeable, paged."""

import asyncio
import hashlib

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control.audit.events import CONTROLLER, AuditEvent, Origin, QuarantineLifted, RevisionSkipped
from control.store import audit, audit_search
from control.store.audit_search import AuditFilter
from control.store.engine import Store

ALICE = Origin(actor="alice", address="192.0.2.7", user_agent="curl/8", session="s1")


def skipped(number: int) -> RevisionSkipped:
    return RevisionSkipped(resource_id=f"table-{number}", known=number, seen=number + 1, revision=number + 2)


def lifted() -> QuarantineLifted:
    return QuarantineLifted(
        resource_id="sha256:a", route="fraud", variant="v2", release="r", rollout="r-1", reason="fixed"
    )


async def append(store: Store, *events: AuditEvent, origin: Origin = CONTROLLER, at: float = 0.0) -> None:
    async with store.write() as connection:
        await audit.append(connection, events, origin=origin, at=at, config_digest="sha256:c")


async def test_an_event_is_stored_as_canonical_json_with_its_leaf_hash(store: Store) -> None:
    """The bytes on disk are the record; its hash is the one a Merkle log of these bytes would use."""
    await append(store, lifted(), origin=ALICE, at=1_700_000_000.25)

    async with store.read() as connection:
        (record,) = await audit_search.page(
            connection, AuditFilter(), limit=10, after=None, newest_first=False
        )
    body = orjson.loads(record.body)

    assert record.body == orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    assert record.leaf_hash == hashlib.sha256(b"\0" + record.body).digest()
    assert body["sequence"] == 1
    assert body["type"] == "quarantine_lifted"
    assert body["at"] == "2023-11-14T22:13:20.250000Z"
    assert body["severity"] == "warning"
    shown = record.to_json()
    assert "actor" not in body
    assert (shown["actor"], shown["address"], shown["user_agent"]) == ("alice", "192.0.2.7", "curl/8")
    assert (body["resource_type"], body["resource_id"]) == ("release", "sha256:a")
    assert body["config_digest"] == "sha256:c"
    assert body["details"]["reason"] == "fixed"


async def test_sequence_numbers_have_no_gap_after_a_rollback(store: Store) -> None:
    """A number is spent only by an event that is really there."""

    async def fail_half_way() -> None:
        async with store.write() as connection:
            await audit.append(connection, [skipped(2)], origin=CONTROLLER, at=0.0, config_digest="")
            raise RuntimeError("half way")

    await append(store, skipped(1))
    with pytest.raises(RuntimeError, match="half way"):
        await fail_half_way()
    await append(store, skipped(3), skipped(4))

    async with store.read() as connection:
        records = await audit_search.page(connection, AuditFilter(), limit=10, after=None, newest_first=False)
        assert await audit.size(connection) == await audit.count(connection) == 3

    assert [record.sequence for record in records] == [1, 2, 3]


async def test_concurrent_writers_share_one_sequence(store: Store) -> None:
    """Writers wait for each other; nothing is lost or numbered twice."""
    await asyncio.gather(*(append(store, skipped(n), skipped(n)) for n in range(12)))

    async with store.read() as connection:
        records = await audit_search.page(
            connection, AuditFilter(), limit=100, after=None, newest_first=False
        )

    assert [record.sequence for record in records] == list(range(1, 25))
    assert len({record.id for record in records}) == 24


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET severity = 'info'",
        "UPDATE audit_events SET body = body WHERE sequence = 1",
        "DELETE FROM audit_events",
        "UPDATE audit_head SET size = 0",
        "DELETE FROM audit_head",
    ],
)
async def test_the_database_refuses_to_change_or_delete_events(store: Store, statement: str) -> None:
    """Not even our own code, or an operator with an SQL prompt, edits the log by accident."""
    await append(store, skipped(1))

    with pytest.raises(DBAPIError, match="never"):
        async with store.write() as connection:
            await connection.execute(text(statement))

    async with store.read() as connection:
        assert await audit.count(connection) == 1


async def test_sqlite_refuses_to_replace_an_event(store: Store) -> None:
    """INSERT OR REPLACE is a deletion in disguise."""
    if store.place.startswith("postgresql"):
        pytest.skip("a statement of SQLite's own")
    await append(store, skipped(1))

    with pytest.raises(DBAPIError, match="never replaced"):
        async with store.write() as connection:
            await connection.execute(
                text("INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events WHERE sequence = 1")
            )


async def test_pages_follow_each_other_in_both_directions(store: Store) -> None:
    """Walking by `after` sees each event once, whichever way it walks."""
    await append(store, *(skipped(n) for n in range(1, 8)))

    async def walk(*, newest_first: bool) -> list[int]:
        seen: list[int] = []
        async with store.read() as connection:
            while page := await audit_search.page(
                connection,
                AuditFilter(),
                limit=3,
                after=seen[-1] if seen else None,
                newest_first=newest_first,
            ):
                seen += [record.sequence for record in page]
        return seen

    assert await walk(newest_first=False) == [1, 2, 3, 4, 5, 6, 7]
    assert await walk(newest_first=True) == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AuditFilter(type="quarantine_lifted"), [2]),
        (AuditFilter(actor="alice"), [2]),
        (AuditFilter(actor="bob"), []),
        (AuditFilter(severity="warning"), [1, 2, 3]),
        (AuditFilter(resource_type="table"), [1, 3]),
        (AuditFilter(resource_type="table", resource_id="table-3"), [3]),
        (AuditFilter(since=20.0), [2, 3]),
        (AuditFilter(since=20.0, until=30.0), [2]),
    ],
)
async def test_filters_select_events(store: Store, wanted: AuditFilter, expected: list[int]) -> None:
    """Each filter narrows the page to what it names."""
    await append(store, skipped(1), at=10.0)
    await append(store, lifted(), origin=ALICE, at=20.0)
    await append(store, skipped(3), at=30.0)

    async with store.read() as connection:
        records = await audit_search.page(connection, wanted, limit=10, after=None, newest_first=False)

    assert [record.sequence for record in records] == expected


async def test_one_event_is_found_by_its_id(store: Store) -> None:
    """The id in an answer leads back to the event."""
    await append(store, skipped(1))
    async with store.read() as connection:
        (record,) = await audit_search.page(
            connection, AuditFilter(), limit=1, after=None, newest_first=False
        )

        assert await audit_search.find(connection, record.id) == record
        assert await audit_search.find(connection, "e-nothing") is None
