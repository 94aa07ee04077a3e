"""What the tool that this log replaces got wrong, one test for each."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from control.audit.offline import verify_database
from control.store import audit
from control.store.audit_search import AuditFilter, page
from control.store.engine import Store, sqlite_url
from control.store.offline import open_offline
from tests.helpers.audit import ALICE, START, draft, everything, log_in, write


async def test_known_defect_no_hash_at_all(tmp_path: Path) -> None:
    """Events lay in a plain folder under the name of tamper-evident: an edit of the file went unseen."""
    async with log_in(tmp_path) as (store, witness):
        await write(store, draft(1), draft(2))
        await witness.sign(START)
        key = witness.key
    with closing(sqlite3.connect(tmp_path / "headgate.db")) as database, database:
        database.execute("DROP TRIGGER audit_events_no_update")
        database.execute("UPDATE audit_events SET body = replace(body, '\"number\":1', '\"number\":9')")

    with open_offline(sqlite_url(tmp_path / "headgate.db")) as stored:
        verdict = verify_database(stored, key, [])

    assert [finding.sequence for finding in verdict.findings] == [2]


async def test_known_defect_events_could_be_deleted(tmp_path: Path) -> None:
    """Deleting a file deleted an event; here the database refuses, and numbers would have a gap."""
    async with log_in(tmp_path) as (store, _):
        await write(store, draft(1))
    with closing(sqlite3.connect(tmp_path / "headgate.db")) as database:
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
            database.execute("DELETE FROM audit_events")


async def test_known_defect_a_query_read_every_file(tmp_path: Path) -> None:
    """Every search walked the whole folder; here each has an index, whatever it is narrowed by."""
    async with log_in(tmp_path) as (store, _):
        await write(store, draft(1))
    plans = {
        "type = 'x' AND at >= 1 AND at < 2": "ix_audit_events_type_at",
        "severity = 'critical'": "ix_audit_events_severity",
        "resource_type = 'a' AND resource_id = 'b'": "ix_audit_events_resource",
        "at >= 1 AND at < 2": "ix_audit_events_at",
    }
    with closing(sqlite3.connect(tmp_path / "headgate.db")) as database:
        for where, index in plans.items():
            rows = database.execute(
                f"EXPLAIN QUERY PLAN SELECT sequence FROM audit_events WHERE {where}"
            ).fetchall()
            assert index in rows[0][3], rows


async def fail_half_way(store: Store) -> None:
    async with store.write() as connection:
        await audit.append(connection, [draft(1)], origin=ALICE, at=START, config_digest="")
        raise RuntimeError("half way")


async def test_known_defect_events_were_written_after_the_change_or_not_at_all(tmp_path: Path) -> None:
    """Change and event are one transaction: without the one there is not the other."""

    async with log_in(tmp_path) as (store, _):
        before = len(await everything(store))
        with pytest.raises(RuntimeError, match="half way"):
            await fail_half_way(store)
        assert len(await everything(store)) == before
        async with store.read() as connection:
            assert (
                await page(connection, AuditFilter(tags=("x",)), limit=1, after=None, newest_first=False)
                == []
            )
