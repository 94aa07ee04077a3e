"""Watchers get the newest table, never an older one, and the last they need."""

import asyncio

import pytest

from control.publish import NotNewerError, Published, Publisher, TooManyWatchersError


def table(revision: int) -> Published:
    return Published(revision=revision, payload=b"{}")


async def test_a_watcher_with_another_revision_gets_the_newest_at_once() -> None:
    """Older or newer, what differs from ours is replaced."""
    publisher = Publisher()
    publisher.publish(table(7))

    with publisher.watch() as watch:
        assert (await watch.next(3, within=1)) == table(7)
        assert (await watch.next(9, within=1)) == table(7)


async def test_a_watcher_waits_for_what_it_does_not_have() -> None:
    """Nothing is sent twice."""
    publisher = Publisher()
    publisher.publish(table(7))

    with publisher.watch() as watch:
        with pytest.raises(TimeoutError):
            await watch.next(7, within=0.01)
        waiting = asyncio.ensure_future(watch.next(7, within=5))
        await asyncio.sleep(0)
        publisher.publish(table(8))
        assert (await waiting) == table(8)


async def test_a_slow_watcher_skips_what_lies_between() -> None:
    """There is no queue that a slow watcher could fill."""
    publisher = Publisher()
    with publisher.watch() as watch:
        for revision in range(1, 1000):
            publisher.publish(table(revision))
        newest = await watch.next(0, within=1)

    assert newest == table(999)


async def test_publishing_again_changes_nothing_and_going_back_is_refused() -> None:
    """After a crash the stored table is published again; an older one never is."""
    publisher = Publisher()
    publisher.publish(table(7))
    publisher.publish(table(7))

    with pytest.raises(NotNewerError):
        publisher.publish(table(6))
    assert publisher.revision == 7


async def test_closing_ends_every_watch() -> None:
    """A process that stops does not wait for its watchers."""
    publisher = Publisher()
    with publisher.watch() as watch:
        waiting = asyncio.ensure_future(watch.next(0, within=60))
        await asyncio.sleep(0)
        publisher.close()

        assert await waiting is None


async def test_watchers_are_counted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watchers that come back without ever leaving do not exhaust the process."""
    monkeypatch.setattr("control.publish.WATCHERS_MAX", 2)
    publisher = Publisher()
    with publisher.watch(), publisher.watch():
        assert publisher.watchers == 2
        with pytest.raises(TooManyWatchersError):
            publisher.watch()

    assert publisher.watchers == 0
