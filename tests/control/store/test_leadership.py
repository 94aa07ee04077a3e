"""One leader at a time: who waits, who takes over, and what a former leader can no longer write."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from control.standby import keep_leading, wait_to_lead
from control.store.engine import FencedError, Store, open_store
from control.store.leadership import LOCK, Candidate, leader


async def test_terms_grow_and_a_former_leader_cannot_write(store: Store) -> None:
    """The check is in the transaction itself, on every database."""
    candidate = Candidate(store, "first")
    found = await candidate.lead()
    assert found is not None
    assert (found.term, (await leader(store)).holder) == (1, "first")
    async with store.write():
        pass
    assert await candidate.confirm()
    # Another process takes the next term behind our back.
    store.term = None
    async with store.write() as connection:
        await connection.execute(text("UPDATE leadership SET term = 2, holder = 'second'"))
    store.term = 1

    with pytest.raises(FencedError, match="term 1 is over"):
        async with store.write() as connection:
            await connection.execute(text("UPDATE leadership SET holder = 'first again'"))

    assert (await leader(store)).holder == "second"
    assert not await candidate.confirm()
    stop = asyncio.Event()
    assert await keep_leading(candidate, stop) is False
    assert stop.is_set()
    await candidate.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_second_process_waits_and_takes_over(database_url: str) -> None:
    """At the end of the first one, or when its connection is cut without its knowing."""
    one, two = await open_store(database_url), await open_store(database_url)
    first, second = Candidate(one, "first"), Candidate(two, "second")
    stop = asyncio.Event()
    try:
        assert await first.lead() is not None
        assert await second.lead() is None
        waiting = asyncio.create_task(wait_to_lead(second, stop))
        async with two.read() as connection:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            assert (
                await connection.execute(text(f"{cut} AND objid = :low"), {"low": LOCK & 0xFFFFFFFF})
            ).all()
        async with asyncio.timeout(60):
            found = await waiting
        assert found is not None
        assert (found.term, found.holder) == (2, "second")
        assert not await first.confirm()
        with pytest.raises(FencedError):
            async with one.write():
                pass
        async with two.write():
            pass
    finally:
        await first.close()
        await second.close()
        await one.close()
        await two.close()
