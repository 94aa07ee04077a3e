"""Rollouts, decisions and quarantine as rows."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from control.store import rollouts
from control.store.engine import Store
from control.store.rollouts import Quarantine, StoredDecision, StoredRollout

ROW = StoredRollout(
    id="r-1",
    route="fraud",
    identity="sha256:i",
    subject="sha256:s",
    release="fraud:v2",
    current=True,
    state="progressing",
    epoch=3,
    stage="1:0:1",
    created_at=1.0,
    updated_at=2.5,
    config_digest="sha256:c",
    document="{}",
    plan="{}",
    evidence="{}",
    evidence_from=0,
)
DECISION = StoredDecision(
    id="d-1",
    rollout_id="r-1",
    route="fraud",
    kind="started",
    at=1.0,
    actor="controller",
    revision=2,
    config_digest="sha256:c",
    body="{}",
)
CONDEMNED = Quarantine(
    id="q-1",
    subject="sha256:s",
    route="fraud",
    variant="v2",
    release="fraud:v2",
    rollout_id="r-1",
    decision_id="d-1",
    reason="it failed",
    since=1.0,
)


async def save(store: Store, *rows: StoredRollout) -> None:
    async with store.write() as connection:
        for row in rows:
            await rollouts.save_rollout(connection, row)


async def test_a_rollout_is_written_and_rewritten(store: Store) -> None:
    """Every column comes back; saving again changes the one row."""
    await save(store, ROW)
    await save(store, replace(ROW, state="paused", updated_at=9.0))

    async with store.read() as connection:
        assert await rollouts.current_rollouts(connection) == [replace(ROW, state="paused", updated_at=9.0)]
        assert await rollouts.find_rollout(connection, "r-1") is not None
        assert await rollouts.find_rollout(connection, "r-2") is None
        assert await rollouts.latest_time(connection) == 9.0


async def test_a_route_has_one_rollout_in_charge(store: Store) -> None:
    """The database itself refuses a second one."""
    await save(store, ROW)

    with pytest.raises(IntegrityError):
        await save(store, replace(ROW, id="r-2"))
    await save(store, replace(ROW, current=False), replace(ROW, id="r-2"))
    await save(store, replace(ROW, id="r-3", current=False))

    async with store.read() as connection:
        assert [row.id for row in await rollouts.current_rollouts(connection)] == ["r-2"]
        assert [row.id for row in await rollouts.recent_rollouts(connection, limit=2)] == ["r-3", "r-2"]


async def test_the_past_of_a_route_is_found_by_what_it_was_about(store: Store) -> None:
    """The newest of the same identity; the highest epoch of any."""
    await save(
        store,
        replace(ROW, current=False),
        replace(ROW, id="r-2", current=False, epoch=5),
        replace(ROW, id="r-3", current=False, identity="sha256:other", epoch=8),
        replace(ROW, id="r-4", current=False, route="other", epoch=99),
    )

    async with store.read() as connection:
        newest = await rollouts.newest_with_identity(connection, route="fraud", identity="sha256:i")
        assert newest is not None
        assert newest.id == "r-2"
        assert await rollouts.newest_with_identity(connection, route="fraud", identity="none") is None
        assert await rollouts.highest_epoch(connection, route="fraud") == 8
        assert await rollouts.highest_epoch(connection, route="new") == 0


async def test_a_decision_needs_its_rollout_and_is_written_once(store: Store) -> None:
    """Foreign keys hold, and an identifier names one decision."""
    with pytest.raises(IntegrityError):
        async with store.write() as connection:
            await rollouts.add_decision(connection, DECISION)
    await save(store, ROW)
    async with store.write() as connection:
        await rollouts.add_decision(connection, DECISION)
    with pytest.raises(IntegrityError):
        async with store.write() as connection:
            await rollouts.add_decision(connection, DECISION)

    async with store.read() as connection:
        assert await rollouts.find_decision(connection, "d-1") == DECISION
        assert await rollouts.find_decision(connection, "d-2") is None


async def test_decisions_are_listed_newest_first(store: Store) -> None:
    """Of all rollouts or of one, page by page."""
    await save(store, ROW, replace(ROW, id="r-2", route="other"))
    async with store.write() as connection:
        for number in range(1, 6):
            owner = "r-2" if number == 3 else "r-1"
            await rollouts.add_decision(connection, replace(DECISION, id=f"d-{number}", rollout_id=owner))

    async with store.read() as connection:

        async def ids(**wanted: str) -> list[str]:
            rows = await rollouts.recent_decisions(connection, limit=3, **wanted)
            return [row.id for row in rows]

        assert await ids() == ["d-5", "d-4", "d-3"]
        assert await ids(before="d-3") == ["d-2", "d-1"]
        assert await ids(rollout_id="r-1") == ["d-5", "d-4", "d-2"]
        assert await ids(rollout_id="r-2") == ["d-3"]


async def test_a_release_is_condemned_once_and_lifted_by_somebody(store: Store) -> None:
    """It can be condemned again after that; the history stays."""
    await save(store, ROW)
    async with store.write() as connection:
        await rollouts.add_decision(connection, DECISION)
        assert await rollouts.add_quarantine(connection, CONDEMNED)
        assert not await rollouts.add_quarantine(connection, replace(CONDEMNED, id="q-2"))
        assert await rollouts.quarantined(connection) == [CONDEMNED]
        lifted = await rollouts.lift_quarantine(
            connection, subject="sha256:s", at=5.0, by="alice", reason="fixed"
        )
        assert lifted == CONDEMNED
        assert await rollouts.quarantined(connection) == []
        assert (
            await rollouts.lift_quarantine(connection, subject="sha256:s", at=6.0, by="bob", reason="")
            is None
        )
        assert await rollouts.add_quarantine(connection, replace(CONDEMNED, id="q-3"))
        found = await rollouts.find_quarantine(connection, subject="sha256:s")

    assert found is not None
    assert found.id == "q-3"
