"""Watches streams of tokens: when content comes, whether it pauses, and whether the end is a good one.

What is told at once is counted at once, so that a stream of minutes is judged from its first seconds on: the
first token, each gap, a stall. The rest is known at the end, and may change the outcome: a stream without its
end mark is truncated, one with an error inside has failed, whatever its status says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.counters import (
    HIST_FIRST_TOKEN,
    HIST_TOKEN_GAP,
    HIST_TOKEN_TIME,
    STREAM_TOKENS,
    STREAMS,
    STREAMS_BROKEN,
    STREAMS_STALLED,
    STREAMS_TRUNCATED,
    STREAMS_UNREAD,
    SUM_FIRST_TOKEN_US,
    SUM_TOKEN_GAP_US,
    SUM_TOKEN_TIME_US,
)
from proxy.histogram import bucket_index
from proxy.looks import CONTENT_TYPE, Look, Looker, header, readable
from proxy.outcomes import CLIENT_ABORT, OK, Outcome
from proxy.recording import clock_ns
from proxy.streams.completions import CONTENT, DONE, ERROR, FINISHED, KNOWN, read_event
from proxy.streams.events import EventScanner
from proxy.wire.chunked import ChunkError, Dechunker

if TYPE_CHECKING:
    from proxy.relay import Relay
    from proxy.slot_counts import SlotCounts
    from proxy.streams.events import Event
    from proxy.streams.spec import StreamSpec

EVENT_STREAM: Final = b"text/event-stream"


class StreamWatcher(Looker):
    """Begins to watch the event streams among a route's answers; the others it leaves alone."""

    __slots__ = ("_spec", "_stall_ns")

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = spec
        self._stall_ns = int(spec.stall * 1e9)

    def look(self, relay: Relay, data: bytes, end: int, length: int, *, chunked: bool) -> Look | None:
        if relay.status != 200 or length == 0:
            return None
        lowered = data[:end].lower()
        if not (header(lowered, lowered, end, CONTENT_TYPE) or b"").startswith(EVENT_STREAM):
            return None
        counts = relay.arm.counts
        counts.cells[counts.base + STREAMS] += 1
        if not readable(lowered, end):
            counts.cells[counts.base + STREAMS_UNREAD] += 1
            return None
        return StreamWatch(counts, relay.started_ns, self._stall_ns, self._spec.stall_fails, chunked=chunked)


class StreamWatch(Look):
    """One stream. Times are those at which the pieces came, in nanoseconds of `clock_ns`."""

    __slots__ = (
        "_base",
        "_before",
        "_cells",
        "_contents",
        "_dechunker",
        "_events",
        "_first_ns",
        "_foreign",
        "_last_ns",
        "_said",
        "_stall_fails",
        "_stall_ns",
        "_stalled",
        "_started_ns",
        "_tokens",
    )

    def __init__(
        self, counts: SlotCounts, started_ns: int, stall_ns: int, stall_fails: bool, *, chunked: bool
    ) -> None:
        self._cells = counts.cells
        self._base = counts.base
        self._started_ns = started_ns
        self._stall_ns = stall_ns
        self._stall_fails = stall_fails
        self._dechunker = Dechunker() if chunked else None
        self._events = EventScanner()
        # What came with the head, and when; read with the piece behind it.
        self._before: tuple[bytes, int] | None = None
        # All that was said so far (`proxy.streams.completions`).
        self._said = 0
        # Pieces of content, and when the first and the last one came.
        self._contents = 0
        self._first_ns = 0
        self._last_ns = 0
        # As the server counts them; 0 = it does not say.
        self._tokens = 0
        self._stalled = False
        # Whether there were events of another kind.
        self._foreign = False

    def first(self, data: bytes) -> None:
        self._before = (data, clock_ns())

    def add(self, data: bytes | memoryview) -> None:
        self._catch_up()
        self._read(bytes(data), clock_ns())

    def end(self, outcome: int) -> int:
        self._catch_up()
        now_ns = clock_ns()
        for event in self._events.end():
            self._take(event, now_ns)
        said = self._said
        if not said & KNOWN and self._foreign:
            self._count(STREAMS_UNREAD)
            return outcome
        complete = said & (DONE | FINISHED) != 0
        if said & ERROR:
            self._count(STREAMS_BROKEN)
        elif not complete:
            if self._contents:
                self._pause(now_ns)
            if outcome != CLIENT_ABORT:
                self._count(STREAMS_TRUNCATED)
        self._settle_tokens()
        outcome = self._judge(outcome, complete=complete)
        if outcome == OK and self._contents > 1:
            self._pace()
        return outcome

    def _judge(self, outcome: int, *, complete: bool) -> int:
        """The outcome in the light of what was said; what went wrong with the connection stays as it is."""
        if outcome not in (OK, CLIENT_ABORT):
            return outcome
        # Clients hang up on reading an error: that is not their doing.
        if self._said & ERROR:
            return Outcome.STREAM_ERROR
        if self._stalled and self._stall_fails:
            return Outcome.TIMEOUT_IDLE
        if complete:
            return OK
        return CLIENT_ABORT if outcome == CLIENT_ABORT else Outcome.STREAM_TRUNCATED

    def _catch_up(self) -> None:
        before = self._before
        if before is not None:
            self._before = None
            self._read(*before)

    def _read(self, data: bytes, now_ns: int) -> None:
        if self._dechunker is None:
            pieces = [data]
        else:
            try:
                pieces = self._dechunker.feed(data)
            except ChunkError:
                # Not passed on either: the exchange is about to fail for it.
                return
        for piece in pieces:
            for event in self._events.feed(piece):
                self._take(event, now_ns)

    def _take(self, event: Event, now_ns: int) -> None:
        name, data = event
        if data is None:
            # Too long to be read; in a stream of this kind only content is.
            said, tokens = self._said & KNOWN and CONTENT, 0
        else:
            said, tokens = read_event(name, data)
        if said & CONTENT:
            self._content(now_ns)
        elif not said:
            self._foreign = True
        self._said |= said
        self._tokens = max(self._tokens, tokens)

    def _content(self, now_ns: int) -> None:
        self._count(STREAM_TOKENS)
        self._contents += 1
        if self._contents == 1:
            self._first_ns = now_ns
            self._time(HIST_FIRST_TOKEN, SUM_FIRST_TOKEN_US, (now_ns - self._started_ns) // 1000)
        else:
            self._pause(now_ns)
            self._time(HIST_TOKEN_GAP, SUM_TOKEN_GAP_US, (now_ns - self._last_ns) // 1000)
        self._last_ns = now_ns

    def _pause(self, now_ns: int) -> None:
        """See whether the time since the last content is too long."""
        if not self._stalled and now_ns - self._last_ns > self._stall_ns:
            self._stalled = True
            self._count(STREAMS_STALLED)

    def _settle_tokens(self) -> None:
        """Count the tokens that came several to a piece, where the server says how many there were."""
        if self._contents > 1 and self._tokens > self._contents:
            self._cells[self._base + STREAM_TOKENS] += self._tokens - self._contents

    def _pace(self) -> None:
        gaps = max(self._tokens, self._contents) - 1
        self._time(HIST_TOKEN_TIME, SUM_TOKEN_TIME_US, (self._last_ns - self._first_ns) // gaps // 1000)

    def _count(self, cell: int) -> None:
        self._cells[self._base + cell] += 1

    def _time(self, histogram: int, total: int, microseconds: int) -> None:
        self._cells[self._base + histogram + bucket_index(microseconds)] += 1
        self._cells[self._base + total] += microseconds
