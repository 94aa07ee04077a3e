"""One request that is copied: its bytes while they pass, then both answers until they are paired.

A tap only keeps references to bytes that were read anyway, and only after they were written to the primary.
It holds nobody back: what exceeds a bound is skipped and counted, and the primary streams on.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from proxy.outcomes import OK, UPSTREAM_5XX
from proxy.shadow.cells import Skip, Unpaired

if TYPE_CHECKING:
    from proxy.shadow.connection import ShadowConnection
    from proxy.shadow.mirror import Mirror
    from proxy.slot_counts import SlotCounts
    from proxy.wire.head import RequestHead

# States of a copy.
COLLECTING: Final = 0
SENT: Final = 1
ANSWERED: Final = 2
GONE: Final = 3

SKIP_TOO_LARGE: Final = 5
SKIP_MEMORY: Final = 6
SKIP_UNFINISHED: Final = 10
assert (Skip.TOO_LARGE, Skip.MEMORY, Skip.UNFINISHED) == (SKIP_TOO_LARGE, SKIP_MEMORY, SKIP_UNFINISHED)

PAIRABLE: Final = -1
PRIMARY_FAILED: Final = 1
TOO_LARGE: Final = 3
MEMORY: Final = 4
assert (Unpaired.PRIMARY_FAILED, Unpaired.TOO_LARGE, Unpaired.MEMORY) == (PRIMARY_FAILED, TOO_LARGE, MEMORY)


class Copy:
    """A request on its way to one shadow, and what came back.

    `held` are the bytes charged to the shadow's budget for it. `unpaired` is why it cannot be compared any
    more, or PAIRABLE.
    """

    __slots__ = (
        "answer",
        "answer_head",
        "body_bytes",
        "connection",
        "counts",
        "first_byte_ns",
        "held",
        "message",
        "mirror",
        "number",
        "outcome",
        "received",
        "shadow_us",
        "started_ns",
        "state",
        "status",
        "tap",
        "unpaired",
    )

    def __init__(self, mirror: Mirror, counts: SlotCounts, tap: Tap, unpaired: int) -> None:
        self.mirror = mirror
        # Those of the table by which the request was taken: a later one may count in another slot.
        self.counts = counts
        self.number: int = mirror.number
        self.tap = tap
        self.unpaired = unpaired
        self.state: int = COLLECTING
        self.held = 0
        self.body_bytes = 0
        self.started_ns = 0
        self.first_byte_ns = 0
        self.shadow_us = 0
        self.received = 0
        self.status: int = 0
        self.outcome: int = 0
        self.connection: ShadowConnection | None = None
        self.answer_head = b""
        self.answer: list[bytes] = []
        # What is to be written, until it is.
        self.message: list[bytes] = []

    def charge(self, size: int) -> bool:
        """Take `size` bytes of the shadow's budget; False, and nothing taken, when it has not as many."""
        mirror = self.mirror
        if mirror.memory + size > mirror.memory_max:
            return False
        mirror.memory += size
        self.held += size
        return True

    def keep(self, data: bytes) -> None:
        """Keep a piece of the shadow's answer for comparing, while that is possible."""
        if self.unpaired != PAIRABLE:
            return
        if self.received > self.mirror.capture_max:
            self.spoil(TOO_LARGE)
        elif self.charge(len(data)):
            self.answer.append(data)
        else:
            self.spoil(MEMORY)

    def spoil(self, reason: int) -> None:
        """Give up comparing; what was kept of the shadow's answer is let go."""
        if self.unpaired == PAIRABLE:
            self.unpaired = reason
        self.answer = []


class Tap:
    """What passes of one exchange on the primary path."""

    __slots__ = (
        "answer",
        "answer_bytes",
        "answer_head",
        "complete_ns",
        "copies",
        "dechunked",
        "finished",
        "head_only",
        "id_line",
        "outcome",
        "pieces",
        "primary_us",
        "status",
        "whole",
        "wide",
    )

    def __init__(self, *, head_only: bool) -> None:
        self.head_only = head_only
        self.copies: list[Copy] = []
        self.pieces: list[bytes] = []
        self.whole = False
        self.complete_ns = 0
        self.answer_head = b""
        self.answer: list[bytes] = []
        self.answer_bytes = 0
        # Whether somebody still wants the primary's answer.
        self.wide = False
        self.dechunked = False
        self.status: int = 0
        self.finished = False
        self.outcome: int = 0
        self.primary_us = 0
        self.id_line = b""

    # The request, piece by piece, each one after it was written to the primary.

    def piece(self, data: bytes | memoryview, body: int) -> None:
        """Keep a piece of the request, `body` bytes of it being body."""
        size = len(data)
        collecting = False
        for copy in self.copies:
            if copy.state != COLLECTING:
                continue
            copy.body_bytes += body
            if copy.body_bytes > copy.mirror.body_max:
                copy.mirror.skip(copy, SKIP_TOO_LARGE)
            elif not copy.charge(size):
                copy.mirror.skip(copy, SKIP_MEMORY)
            else:
                collecting = True
        if collecting:
            # A view would keep the whole read it is a part of.
            self.pieces.append(data if isinstance(data, bytes) else bytes(data))
        elif self.pieces:
            self.pieces = []

    def complete(self) -> None:
        """The request is whole: its copies go out at the next turn of the event loop."""
        self.whole = True
        self.complete_ns = perf_counter_ns()
        for copy in self.copies:
            if copy.state == COLLECTING:
                copy.mirror.shadows.offer(self)
                return

    # The primary's answer.

    def answered(self, data: bytes, end: int, status: int, body_end: int) -> None:
        """The primary's head is `data[:end]`; what is behind it up to `body_end` is body."""
        self.status = status
        wide = False
        for copy in self.copies:
            if copy.state != GONE and copy.unpaired == PAIRABLE:
                wide = True
        self.wide = wide
        if wide:
            self.answer_head = data[: end + 2]
            if body_end > end + 2:
                self.answer_piece(data[end + 2 : body_end])

    def answer_piece(self, data: bytes | memoryview) -> None:
        """Keep a piece of the primary's answer, for those who can still compare it."""
        if not self.wide:
            return
        size = len(data)
        self.answer_bytes += size
        wide = False
        for copy in self.copies:
            if copy.state == GONE or copy.unpaired != PAIRABLE:
                continue
            if self.answer_bytes > copy.mirror.capture_max:
                copy.spoil(TOO_LARGE)
            elif copy.charge(size):
                wide = True
            else:
                copy.spoil(MEMORY)
        self.wide = wide
        if wide:
            self.answer.append(data if isinstance(data, bytes) else bytes(data))
        else:
            self.answer = []

    def end(self, outcome: int, now_ns: int) -> None:
        """The primary exchange has ended; `now_ns` by the clock of `perf_counter_ns`, 0 for a fault."""
        self.finished = True
        self.outcome = outcome
        good = OK <= outcome <= UPSTREAM_5XX and self.whole
        if good and now_ns:
            self.primary_us = (now_ns - self.complete_ns) // 1000
            if self.primary_us < 0:
                # Answered before the request had ended.
                self.primary_us = 0
        for copy in self.copies:
            if copy.state == COLLECTING and not self.whole:
                copy.mirror.skip(copy, SKIP_UNFINISHED)
                continue
            if not good and copy.unpaired == PAIRABLE:
                copy.spoil(PRIMARY_FAILED)
            if copy.state == ANSWERED:
                copy.mirror.settle(copy)
        if not good:
            self.answer = []


def tap_for(
    mirrors: list[Mirror], arm: int, head: RequestHead, data: bytes, end: int, client: bytes, overridden: bool
) -> Tap | None:
    """The tap of a request that is about to be forwarded for arm number `arm`; None when nobody takes it."""
    tap: Tap | None = None
    for mirror in mirrors:
        counts = mirror.counts
        if mirror.takes(arm, head, data, end, client, overridden):
            if tap is None:
                tap = Tap(head_only=head.is_head)
            tap.copies.append(Copy(mirror, counts, tap, mirror.pairing()))
    return tap
