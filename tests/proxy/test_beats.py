"""Tests of telling hung workers from idle ones."""

from proxy.beats import BeatWatch


def test_beating_worker_is_well() -> None:
    """However seldom it is looked at, a heartbeat that changes is one."""
    watch = BeatWatch(2)

    assert not any(watch.look(0, beat) for beat in range(1, 100))


def test_still_worker_is_told_once() -> None:
    """A heartbeat that stands still is noticed after the given number of looks, then counted anew."""
    watch = BeatWatch(3)
    watch.look(0, 7)

    assert [watch.look(0, 7) for _ in range(7)] == [False, False, True, False, False, True, False]


def test_worker_that_never_beats_is_hung_too() -> None:
    """A worker that does not even begin is as useless as one that stopped."""
    watch = BeatWatch(2)

    assert [watch.look(0, 0) for _ in range(3)] == [False, False, True]


def test_workers_are_told_apart() -> None:
    """One that stands still says nothing about another, nor about its successor."""
    watch = BeatWatch(2)
    watch.look(0, 7)
    watch.look(1, 7)
    watch.look(0, 7)

    watch.forget(0)

    assert not watch.look(0, 7)
    assert not watch.look(1, 8)
