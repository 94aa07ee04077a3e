"""The timer wheel against a plain list of deadlines."""

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from proxy.timers import SLOTS, Timed, TimerWheel, ticks


class Probe(Timed):
    """Remembers when it expired."""

    __slots__ = ("__weakref__", "expired_at", "wheel")

    def __init__(self, wheel: TimerWheel) -> None:
        super().__init__()
        self.wheel = wheel
        self.expired_at: list[int] = []

    def expire(self) -> None:
        self.expired_at.append(self.wheel.now)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3 * SLOTS)), max_size=40),
    st.integers(0, 3 * SLOTS + 10),
)
def test_expires_exactly_at_the_last_deadline_set(changes: list[tuple[int, int]], tail: int) -> None:
    """However a deadline was moved, only the last one counts, and it fires once, one tick late at most."""
    wheel = TimerWheel()
    probe = Probe(wheel)
    due: int | None = None
    fired: list[int] = []
    for steps, duration in changes:
        for _ in range(steps):
            wheel.advance()
            if due is not None and wheel.now >= due:
                fired.append(due)
                due = None
        wheel.set(probe, duration)
        due = wheel.now + duration + 1 if duration else None
    for _ in range(tail):
        wheel.advance()
        if due is not None and wheel.now >= due:
            fired.append(due)
            due = None

    assert probe.expired_at == fired


def test_removed_item_is_not_kept_alive() -> None:
    """A closed connection leaves no reference behind in the wheel."""
    wheel = TimerWheel()
    probe = Probe(wheel)
    reference = weakref.ref(probe)
    wheel.set(probe, 500)

    wheel.remove(probe)
    del probe
    gc.collect()

    assert reference() is None


def test_later_deadline_costs_no_move() -> None:
    """Moving a deadline later leaves the item in its slot until that comes round."""
    wheel = TimerWheel()
    probe = Probe(wheel)
    wheel.set(probe, 10)
    placed = probe.placed

    wheel.set(probe, 100)

    assert probe.placed == placed
    for _ in range(100):
        wheel.advance()
    assert probe.expired_at == []
    wheel.advance()
    assert probe.expired_at == [wheel.now]


def test_ticks_round_up_and_zero_means_none() -> None:
    """A time-out never fires early because of rounding."""
    assert ticks(0) == 0
    assert ticks(-1) == 0
    assert ticks(0.01) == 1
    assert ticks(0.1) == 1
    assert ticks(1.05) == 11
