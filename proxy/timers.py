"""One timer wheel for every time-out of a worker: setting a deadline costs a store, not a timer.

A deadline is a tick number. Each watched object sits in one slot of the wheel. Moving its deadline later
only stores the number; the object is moved when its old slot comes round. Only a nearer deadline moves it at
once. (Varghese & Lauck 1987, scheme 6, with lazy re-insertion.)
"""

from typing import Final

from mypy_extensions import mypyc_attr

TICKS_PER_SECOND: Final = 10
# 102 seconds in one turn; later deadlines wait at the far end and are placed again when it comes round.
SLOTS: Final = 1024
NEVER: Final = 0


def ticks(seconds: float) -> int:
    """Return a duration in ticks, rounded up; zero or less means none."""
    if seconds <= 0:
        return 0
    return int(seconds * TICKS_PER_SECOND + 0.999)


@mypyc_attr(allow_interpreted_subclasses=True)
class Timed:
    """Something with a deadline. Subclasses say what happens when it passes."""

    __slots__ = ("deadline", "placed")

    def __init__(self) -> None:
        self.deadline = NEVER
        self.placed = NEVER

    def expire(self) -> None:
        """Called once, when the deadline has passed."""
        raise NotImplementedError


class TimerWheel:
    """Holds what is timed; ``advance`` is called once a tick."""

    __slots__ = ("now", "slots")

    def __init__(self) -> None:
        self.now = 1
        self.slots: list[set[Timed]] = [set() for _ in range(SLOTS)]

    def set(self, item: Timed, duration: int) -> None:
        """Let ``item`` expire ``duration`` ticks from now; zero clears its deadline."""
        # One more tick, because part of the current one has passed already.
        self.set_at(item, self.now + duration + 1 if duration else NEVER)

    def set_at(self, item: Timed, deadline: int) -> None:
        """Let ``item`` expire at tick ``deadline``; NEVER clears its deadline."""
        item.deadline = deadline
        if deadline == NEVER:
            return
        placed = item.placed
        if placed == NEVER:
            self._place(item, deadline)
        elif deadline < placed:
            self.slots[placed % SLOTS].discard(item)
            self._place(item, deadline)

    def remove(self, item: Timed) -> None:
        """Forget ``item``: nothing keeps it alive afterwards."""
        item.deadline = NEVER
        if item.placed != NEVER:
            self.slots[item.placed % SLOTS].discard(item)
            item.placed = NEVER

    def advance(self) -> None:
        """Move on by one tick and expire what is due."""
        self.now += 1
        now = self.now
        slot = self.slots[now % SLOTS]
        if not slot:
            return
        self.slots[now % SLOTS] = set()
        due: list[Timed] = []
        for item in slot:
            item.placed = NEVER
            if item.deadline == NEVER:
                continue
            if item.deadline <= now:
                item.deadline = NEVER
                due.append(item)
            else:
                self._place(item, item.deadline)
        for item in due:
            item.expire()

    def _place(self, item: Timed, deadline: int) -> None:
        placed = min(deadline, self.now + SLOTS - 1)
        item.placed = placed
        self.slots[placed % SLOTS].add(item)
