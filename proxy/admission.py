"""How many requests an upstream may have in hand at once, and who waits for a place, in which order.

Stable goes before canary: a place that becomes free is stable's first, and a full queue gives up a waiting
canary request for a stable one. Under a late event loop the worker sheds in the same order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from proxy.faults import SHED
from proxy.timers import ticks

if TYPE_CHECKING:
    from proxy.arms import QueueSpec
    from proxy.relay import Relay

# Where a relay stands.
OUTSIDE: Final = 0
WAITING: Final = 1
INSIDE: Final = 2

# Degrees of overload: what is not done any more at each, with all that is left out before it.
NO_EXTRAS: Final = 1
"""No copies to shadows, no retries."""
NO_CANARY: Final = 2
NOTHING_NEW: Final = 3


class Gate:
    """The places of one upstream in one worker; kept over tables."""

    __slots__ = ("_canary", "_stable", "inside", "places", "shed", "waiting_max", "waiting_ticks")

    def __init__(self, spec: QueueSpec) -> None:
        self.inside = 0
        self.shed = 0
        self._stable: deque[Relay] = deque()
        self._canary: deque[Relay] = deque()
        self.set(spec)

    def set(self, spec: QueueSpec) -> None:
        """Take the numbers of a new table; who is inside or waits stays."""
        self.places = spec.concurrency
        self.waiting_max = spec.length
        self.waiting_ticks = ticks(spec.seconds)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._stable) + len(self._canary)

    def enter(self, relay: Relay, message: bytes) -> None:
        """Let a request through, let it wait, or refuse it."""
        if self.inside < self.places:
            self.inside += 1
            relay.place = INSIDE
            relay.send(message)
            return
        if self.waiting >= self.waiting_max and not (relay.arm.canary or not self._canary):
            self._refuse(self._canary.pop())
        if self.waiting >= self.waiting_max:
            self._refuse(relay)
            return
        relay.place = WAITING
        (self._canary if relay.arm.canary else self._stable).append(relay)
        relay.hold_for_place(message, self.waiting_ticks)

    def leave(self, relay: Relay) -> None:
        """Take back the place of a request that has ended, or its turn in the queue."""
        place, relay.place = relay.place, OUTSIDE
        if place == WAITING:
            (self._canary if relay.arm.canary else self._stable).remove(relay)
        elif place == INSIDE:
            self.inside -= 1
            self._admit()

    def _admit(self) -> None:
        while self.inside < self.places:
            queue = self._stable or self._canary
            if not queue:
                return
            relay = queue.popleft()
            self.inside += 1
            relay.place = INSIDE
            relay.send_held()

    def _refuse(self, relay: Relay) -> None:
        self.shed += 1
        relay.place = OUTSIDE
        relay.fault(SHED)


def sheds(overload: int, *, canary: bool) -> bool:
    """Whether a request is refused at this degree of overload."""
    return overload >= NOTHING_NEW or (overload >= NO_CANARY and canary)


def degree(late: float, limit: float, before: int) -> int:
    """The degree of overload after a beat that came ``late`` seconds late.

    Each doubling of the limit is one degree more. It rises at once and falls by one a beat, so that a loop
    that has just been relieved does not swing. A limit of 0 switches it off.
    """
    if limit <= 0:
        return 0
    reached = 0
    for number in (NO_EXTRAS, NO_CANARY, NOTHING_NEW):
        if late > limit * 2 ** (number - 1):
            reached = number
    return max(reached, before - 1)
