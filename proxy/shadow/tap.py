"""One request that is copied: its bytes while they pass, then both answers until they are paired.

A tap only keeps references to bytes that were read anyway, and only after they were written to the primary.
It holds nobody back: what exceeds a bound is skipped and counted, and the primary streams on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.outcomes import OK, UPSTREAM_5XX
from proxy.shadow.cells import Skip, Unpaired

if TYPE_CHECKING:
    from proxy.shadow.copy_counts import CopyCounts
    from proxy.shadow.mirror import Mirror
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
    more, or PAIRABLE; only while it is, `answer` is kept, of which the head has `head_bytes`. `received` is
    what came of the answer, kept or not. `tap` is None on the straight way (`proxy.shadow.straight`), where
    nothing of the primary's answer matters to the copy.
    """

    __slots__ = (
        "answer",
        "body_bytes",
        "counts",
        "head_bytes",
        "held",
        "message",
        "mirror",
        "number",
        "pieces",
        "received",
        "shadow_us",
        "started_ns",
        "state",
        "status",
        "tap",
        "unpaired",
    )

    def __init__(self, mirror: Mirror, tap: Tap | None, unpaired: int) -> None:
        self.mirror = mirror
        # Those of the table by which the request was taken: a later one may count in another slot.
        self.counts: CopyCounts = mirror.counts
        self.number: int = mirror.number
        self.tap = tap
        self.unpaired = unpaired
        self.state: int = COLLECTING
        self.body_bytes: int = 0
        self.held = 0
        self.started_ns = 0
        self.shadow_us = 0
        self.received = 0
        self.head_bytes = 0
        self.status: int = 0
        self.answer: list[bytes] | None = None
        # What is to be written, until it is: the head and what came with it, and the pieces behind that. On
        # the straight way what the primary got, until it is sent.
        self.message = b""
        self.pieces: list[bytes] | None = None

    def charge(self, size: int) -> bool:
        """Take `size` bytes of the shadow's budget; False, and nothing taken, when it has not as many."""
        mirror = self.mirror
        memory = mirror.memory + size
        if memory > mirror.memory_max:
            return False
        mirror.memory = memory
        self.held += size
        return True

    def keep(self, data: bytes) -> None:
        """Keep a piece of the shadow's answer for comparing; only while that is possible."""
        if self.received > self.mirror.capture_max:
            self.spoil(TOO_LARGE)
        elif not self.charge(len(data)):
            self.spoil(MEMORY)
        elif self.answer is None:
            self.answer = [data]
        else:
            self.answer.append(data)

    def spoil(self, reason: int) -> None:
        """Give up comparing; what was kept of the shadow's answer is let go."""
        if self.unpaired == PAIRABLE:
            self.unpaired = reason
        self.answer = None


class Tap:
    """What passes of one exchange on the primary path.

    `started_ns` is the turn of the event loop at which its copies were sent. The answer is kept while `wide`:
    while somebody can still compare it.
    """

    __slots__ = (
        "answer",
        "answer_bytes",
        "body_bytes",
        "client_model",
        "copies",
        "dechunked",
        "expect",
        "finished",
        "first",
        "head_bytes",
        "head_end",
        "head_only",
        "id_line",
        "marked",
        "open",
        "outcome",
        "pieces",
        "plain_head",
        "primary_us",
        "started_ns",
        "status",
        "whole",
        "wide",
    )

    def __init__(self, head: RequestHead) -> None:
        self.head_only = head.is_head
        self.expect = head.expect
        # Whether a field is there that copies to one of the shadows must not have.
        self.marked = head.marked
        self.copies: list[Copy] = []
        # How many of them have not come to their end.
        self.open = 0
        # The first piece, with the head up to its blank line at `head_end`, and those behind it.
        self.first = b""
        self.head_end = 0
        self.pieces: list[bytes] | None = None
        # The head as it was before it was rewritten for the primary's upstream, where that is done.
        self.plain_head = b""
        # What the client called the model, as a JSON string, where the primary's upstream calls it otherwise.
        self.client_model = b""
        self.body_bytes = 0
        self.whole = False
        self.started_ns = 0
        self.head_bytes = 0
        self.answer: list[bytes] | None = None
        self.answer_bytes = 0
        self.wide = False
        self.dechunked = False
        self.status: int = 0
        self.finished = False
        self.outcome: int = 0
        self.primary_us = 0
        self.id_line = b""

    def add(self, mirror: Mirror, unpaired: int) -> None:
        """Take the request for another shadow; `unpaired` is why its answer is not compared, or PAIRABLE."""
        self.copies.append(Copy(mirror, self, unpaired))
        self.open += 1
        if unpaired == PAIRABLE:
            self.wide = True

    # The request, piece by piece, each one after it was written to the primary.

    def begin(self, message: bytes, body: int, *, whole: bool) -> None:
        """The head, with the first `body` bytes behind it, which may be the whole request."""
        size = len(message)
        self.head_end = size - body - 2
        if self._collect(size, body):
            self.first = message
        if whole:
            self.complete()

    def piece(self, data: bytes | memoryview) -> None:
        """Keep another piece of the body."""
        size = len(data)
        if self._collect(size, size):
            # A view would keep the whole read it is a part of.
            piece = data if isinstance(data, bytes) else bytes(data)
            if self.pieces is None:
                self.pieces = [piece]
            else:
                self.pieces.append(piece)
        elif self.first:
            self.first = b""
            self.pieces = None

    def _collect(self, size: int, body: int) -> bool:
        """Charge those for a piece who still want the request; False when nobody does."""
        self.body_bytes += body
        collecting = False
        for copy in self.copies:
            if copy.state != COLLECTING:
                continue
            mirror = copy.mirror
            copy.body_bytes = self.body_bytes
            if self.body_bytes > mirror.body_max:
                mirror.skip(copy, SKIP_TOO_LARGE)
            elif not copy.charge(size):
                mirror.skip(copy, SKIP_MEMORY)
            else:
                collecting = True
        return collecting

    def complete(self) -> None:
        """The request is whole: its copies go out at the next turn of the event loop."""
        self.whole = True
        if self.first:
            self.copies[0].mirror.shadows.offer(self)

    # The primary's answer.

    def answered(self, data: bytes, end: int, status: int, body_end: int) -> None:
        """The primary's head is `data[:end]`; what is behind it up to `body_end` is body."""
        self.status = status
        if self.wide:
            self.head_bytes = end + 2
            self.answer_piece(data if body_end == len(data) else data[:body_end])

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
        if not wide:
            self.answer = None
            return
        piece = data if isinstance(data, bytes) else bytes(data)
        if self.answer is None:
            self.answer = [piece]
        else:
            self.answer.append(piece)

    def end(self, outcome: int, now_ns: int) -> None:
        """The primary exchange has ended; `now_ns` by the clock of `perf_counter_ns`, 0 for a fault."""
        self.finished = True
        self.outcome = outcome
        good = OK <= outcome <= UPSTREAM_5XX and self.whole
        started_ns = self.started_ns
        # Not started: the primary answered before the request had ended, or within the same turn.
        if good and now_ns and started_ns and now_ns > started_ns:
            self.primary_us = (now_ns - started_ns) // 1000
        for copy in self.copies:
            if copy.state == COLLECTING and not self.whole:
                copy.mirror.skip(copy, SKIP_UNFINISHED)
                continue
            if not good and copy.unpaired == PAIRABLE:
                copy.spoil(PRIMARY_FAILED)
            if copy.state == ANSWERED:
                copy.mirror.settle(copy)
        if not good:
            self.wide = False
            self.answer = None

    def closed(self) -> None:
        """One of the copies has come to its end."""
        self.open -= 1
        if not self.open:
            # They refer to this tap in turn: left alone, they would wait for the collector of cycles.
            self.copies = []


def tap_for(
    mirrors: list[Mirror], arm: int, head: RequestHead, data: bytes, end: int, client: bytes, overridden: bool
) -> Tap | None:
    """The tap of a request that is about to be forwarded for arm number `arm`; None when nobody takes it."""
    tap: Tap | None = None
    for mirror in mirrors:
        if mirror.takes(arm, head, data, end, client, overridden):
            if tap is None:
                tap = Tap(head)
            tap.add(mirror, mirror.pairing())
    return tap
