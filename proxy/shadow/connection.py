"""One connection to a shadow: writes a copy, reads the answer to its end, and believes nothing it says."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, cast

from proxy.outcomes import (
    INVALID_RESPONSE,
    OK,
    RESET,
    SHED,
    STREAM_ERROR,
    STREAM_TRUNCATED,
    TIMEOUT_TOTAL,
)
from proxy.shadow.straight import answer
from proxy.shadow.tap import PAIRABLE
from proxy.timers import Timed
from proxy.wire.chunked import ChunkError, ChunkTracker
from proxy.wire.head import ResponseHead, find_head_end, scan_response

if TYPE_CHECKING:
    from proxy.shadow.lane import Lane
    from proxy.shadow.tap import Copy

IDLE: Final = 0  # literals also in `proxy.shadow.straight`
HEAD: Final = 1
FIXED: Final = 2
CHUNKED: Final = 3
UNTIL_CLOSE: Final = 4
CLOSED: Final = 5

INFORMATIONAL_MAX: Final = 16
# What of an answer is read as fast as it comes, even when nobody compares it.
READ_FREELY_BYTES: Final = 65536


class ShadowConnection(Timed):
    """A protocol on the shadow's side; serves one copy at a time."""

    __slots__ = (
        "buffer",
        "copy",
        "informational",
        "lane",
        "remain",
        "reusable",
        "state",
        "tracker",
        "transport",
        "write",
    )

    def __init__(self, lane: Lane) -> None:
        super().__init__()
        self.lane = lane
        self.copy: Copy | None = None
        self.state = IDLE
        self.remain = 0
        self.reusable = False
        self.informational = 0
        self.buffer = b""
        self.tracker: ChunkTracker | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.lane.mirror.shadows.connections.add(self)

    def serve(self, copy: Copy) -> None:
        """Write a copy and expect its answer within the shadow's deadline."""
        mirror = self.lane.mirror
        self.copy = copy
        self.state = HEAD
        self.reusable = False
        self.informational = 0
        self.buffer = b""
        mirror.shadows.wheel.set(self, mirror.deadline)
        message = copy.message
        copy.message = b""
        self.write(message)
        pieces = copy.pieces
        if pieces is not None:
            copy.pieces = None
            for piece in pieces:
                self.write(piece)

    def data_received(self, data: bytes) -> None:
        copy = self.copy
        if copy is None:
            # Nobody asked for these bytes.
            self.close()
            return
        if copy.tap is None and self.state == HEAD and answer(self, copy, data):
            return
        copy.received += len(data)
        if copy.received > self.lane.mirror.answer_max:
            self._fail(SHED)
            return
        state = self.state
        if state == HEAD:
            self._on_head(copy, data)
        elif state == FIXED:
            self.remain -= len(data)
            if self.remain < 0:
                self.reusable = False
                data = data[: self.remain]
            if copy.unpaired == PAIRABLE:
                copy.keep(data)
            if self.remain <= 0:
                self._end(copy, perf_counter_ns())
        elif state == CHUNKED:
            self._on_chunked(copy, data)
        elif state == UNTIL_CLOSE and copy.unpaired == PAIRABLE:
            copy.keep(data)
        if copy.received > READ_FREELY_BYTES and self.copy is not None and copy.unpaired != PAIRABLE:
            self.lane.mirror.shadows.read_in_vain(self, len(data))

    def _on_head(self, copy: Copy, data: bytes) -> None:
        shadows = self.lane.mirror.shadows
        live = shadows.worker.live
        head = shadows.response_head
        searched = 0
        if self.buffer:
            searched = max(0, len(self.buffer) - 3)
            data = self.buffer + data
            self.buffer = b""
        end: int = head.recall(data)
        while end < 0:
            end = find_head_end(data, searched)
            if end < 0:
                if len(data) > live.head_bytes_max:
                    self._fail(INVALID_RESPONSE)
                else:
                    self.buffer = data
                return
            if end > live.head_bytes_max or not scan_response(head, data, end, live.headers_max):
                self._fail(INVALID_RESPONSE)
                return
            if head.status >= 200:
                head.remember(data, end)
                break
            self.informational += 1
            if head.status == 101 or self.informational > INFORMATIONAL_MAX:
                self._fail(INVALID_RESPONSE)
                return
            data = data[end + 2 :]
            searched = 0
            end = -1
            if not data:
                return
        self._on_final_head(copy, head, data, end + 2)

    def _on_final_head(self, copy: Copy, head: ResponseHead, data: bytes, start: int) -> None:
        """The final head is `data[:start]`, blank line included."""
        status: int = head.status
        copy.status = status
        copy.head_bytes = start
        self.reusable = head.keep_alive and status != 500
        remain: int = head.content_length
        size = len(data)
        tap = copy.tap
        if status == 204 or status == 304 or (tap is not None and tap.head_only):
            remain = 0
        elif head.chunked:
            self.state = CHUNKED
            self.tracker = ChunkTracker()
            if copy.unpaired == PAIRABLE:
                copy.keep(data[:start])
            if size > start:
                self._on_chunked(copy, data[start:])
            return
        elif remain < 0:
            self.state = UNTIL_CLOSE
            self.reusable = False
            if copy.unpaired == PAIRABLE:
                copy.keep(data)
            return
        elif remain + start > self.lane.mirror.answer_max:
            self._fail(SHED)
            return
        remain -= size - start
        if remain < 0:
            # More than was announced: the rest is nobody's, and the connection cannot be trusted.
            self.reusable = False
            data = data[:remain]
        if copy.unpaired == PAIRABLE:
            copy.keep(data)
        if remain > 0:
            self.state = FIXED
            self.remain = remain
            return
        lane = self.lane
        self._end(copy, perf_counter_ns())
        if (
            tap is None
            and self.state == IDLE
            and status < 400
            and size <= READ_FREELY_BYTES
            and not lane.retired
        ):
            lane.known = data[:start]
            lane.known_bytes = size

    def _on_chunked(self, copy: Copy, data: bytes) -> None:
        tracker = self.tracker
        assert tracker is not None
        if tracker.tail:
            data = tracker.tail + data
        try:
            end = tracker.feed(data, 0)
        except ChunkError:
            self._fail(STREAM_ERROR)
            return
        if end < 0:
            if copy.unpaired == PAIRABLE:
                copy.keep(data[: len(data) - len(tracker.tail)] if tracker.tail else data)
            return
        if end < len(data):
            self.reusable = False
            data = data[:end]
        if copy.unpaired == PAIRABLE:
            copy.keep(data)
        self.tracker = None
        self._end(copy, perf_counter_ns())

    def _end(self, copy: Copy, now_ns: int) -> None:
        self.copy = None
        lane = self.lane
        if lane.failures or lane.paused_until:
            lane.answered()
        if self.reusable:
            lane.give_back(self)
        else:
            self.close()
        copy.mirror.ended(copy, OK, now_ns)

    def _fail(self, outcome: int) -> None:
        copy = self.copy
        self.copy = None
        self.abort()
        if copy is not None:
            # One that is too late was an answer: bounds of time and number see to it.
            if outcome in (STREAM_ERROR, INVALID_RESPONSE, SHED):
                self.lane.broke_off()
            copy.mirror.ended(copy, outcome, 0)

    def eof_received(self) -> bool:
        copy = self.copy
        if copy is None:
            self.close()
        elif self.state == UNTIL_CLOSE:
            self._end(copy, perf_counter_ns())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        shadows = self.lane.mirror.shadows
        shadows.connections.discard(self)
        shadows.wheel.remove(self)
        self.lane.forget(self)
        state = self.state
        self.state = CLOSED
        copy = self.copy
        if copy is not None:
            self.copy = None
            self.lane.broke_off()
            copy.mirror.ended(copy, RESET if state == HEAD else STREAM_TRUNCATED, 0)

    def expire(self) -> None:
        """The copy's deadline has passed, or the connection was idle for too long."""
        if self.copy is None:
            self.close()
        else:
            self._fail(TIMEOUT_TOTAL)

    def cut(self, outcome: int) -> None:
        """End whatever is in progress; the worker stops."""
        self._fail(outcome)

    def close(self) -> None:
        """Close after what was written has gone out."""
        self.lane.forget(self)
        self.state = CLOSED
        self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.lane.forget(self)
        self.state = CLOSED
        self.transport.abort()

    def pause_writing(self) -> None:
        """The shadow does not read: what it was sent counts against its budget, and its deadline runs."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""
