"""One connection to a model server: reads responses strictly and hands their bytes to the relay it serves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from mypy_extensions import i64

from proxy.counters import (
    UPSTREAM_CONNECTIONS_DISCARDED,
    UPSTREAM_CONNECTIONS_OPEN,
    UPSTREAM_CONNECTIONS_OPENED,
)
from proxy.exchange import AWAITING
from proxy.faults import INVALID_RESPONSE, STREAM_ERROR
from proxy.flow import PEER_FULL, VIEW_BYTES_MIN, Valve
from proxy.inbound import response_message
from proxy.recording import clock_ns
from proxy.retrying import RESET_SECONDS
from proxy.straight import answer
from proxy.timers import Timed
from proxy.wire.chunked import ChunkError, ChunkTracker
from proxy.wire.head import ResponseHead, find_head_end, scan_response
from proxy.wire.rewrite import cut

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.pool import Pool
    from proxy.relay import Relay

# What the connection reads next.
IDLE: Final = 0
HEAD: Final = 1
FIXED: Final = 2
CHUNKED: Final = 3
UNTIL_CLOSE: Final = 4
TUNNEL: Final = 5
CLOSED: Final = 6

# Informational responses before the final one; a server that sends more talks to itself.
INFORMATIONAL_MAX: Final = 16


class UpstreamConnection(Timed):
    """A protocol on the upstream's side. Serves one relay at a time; idle ones sit in their pool."""

    __slots__ = (
        "buffer",
        "informational",
        "pool",
        "relay",
        "remain",
        "reusable",
        "served",
        "state",
        "tracker",
        "transport",
        "valve",
        "worker",
        "write",
    )

    def __init__(self, worker: WorkerContext, pool: Pool) -> None:
        super().__init__()
        self.worker = worker
        self.pool = pool
        self.relay: Relay | None = None
        self.state = IDLE
        self.remain = 0
        self.buffer = b""
        self.tracker: ChunkTracker | None = None
        self.reusable = False
        self.served = 0
        self.informational = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.valve = Valve(self.transport)
        cells = self.worker.cells
        cells[UPSTREAM_CONNECTIONS_OPENED] += 1
        cells[UPSTREAM_CONNECTIONS_OPEN] += 1

    def serve(self, relay: Relay) -> None:
        """Expect the response to a request that is about to be written for ``relay``."""
        self.relay = relay
        self.state = HEAD
        self.served += 1
        self.informational = 0

    def data_received(self, data: bytes) -> None:
        relay = self.relay
        state = self.state
        if relay is None:
            if state != CLOSED:
                # Nobody asked for these bytes: whatever follows on this connection belongs to nobody either.
                self._discard_idle()
            return
        if state == HEAD:
            self._on_head(relay, data)
        elif state == CHUNKED:
            self._on_chunked(relay, data)
        elif state == FIXED:
            self._on_fixed(relay, data)
        elif state in (UNTIL_CLOSE, TUNNEL):
            relay.response_data(data)

    def _on_head(self, relay: Relay, data: bytes) -> None:
        searched = 0
        if self.buffer:
            # The blank line may have begun in the last three bytes of what was there before.
            searched = max(0, len(self.buffer) - 3)
            data = self.buffer + data
            self.buffer = b""
        worker = self.worker
        head = worker.response_head
        end: i64 = head.recall(data)
        if end >= 0:
            if not (relay.ordinary and answer(self, relay, head, data, end)):
                self._final_head(relay, head, data, end)
            return
        live = worker.live
        while True:
            end = find_head_end(data, searched)
            if end < 0:
                if len(data) > live.head_bytes_max:
                    self._refuse(relay)
                else:
                    self.buffer = data
                return
            if end > live.head_bytes_max or not scan_response(head, data, end, live.headers_max):
                self._refuse(relay)
                return
            if head.status >= 200:
                head.remember(data, end)
                if not (relay.ordinary and answer(self, relay, head, data, end)):
                    self._final_head(relay, head, data, end)
                return
            if head.status == 101:
                self._switch(relay, data, end)
                return
            self.informational += 1
            if self.informational > INFORMATIONAL_MAX:
                self._refuse(relay)
                return
            if relay.minor == 1:
                # RFC 9110, section 15.2: never to an HTTP/1.0 client.
                relay.downstream.write(cut(data, 0, end, head.cuts) + b"\r\n")
            data = data[end + 2 :]
            searched = 0
            if not data:
                return

    def _final_head(self, relay: Relay, head: ResponseHead, data: bytes, end: i64) -> None:
        status: i64 = head.status
        relay.status = status
        relay.head_sent = True
        relay.first_byte_ns = clock_ns()
        remain: i64 = head.content_length
        chunked = head.chunked
        if relay.head_only or status == 204 or status == 304:
            # RFC 9112, section 6.3, rule 1: no body, whatever the fields say.
            remain = 0
            chunked = False
        elif not chunked and remain < 0:
            # Rule 8: the body ends with the connection, so downstream must end with it too.
            relay.close_downstream = True
        # After an unhandled exception, servers such as uvicorn close a moment after the answer, unannounced:
        # a request that was on its way by then would be lost.
        self.reusable = head.keep_alive and status != 500
        start: i64 = end + 2
        stop: i64 = len(data)
        available: i64 = stop - start
        if relay.minor == 0 and chunked:
            # RFC 9112, section 6.1: an HTTP/1.0 client does not know the chunked coding.
            relay.dechunk = True
            relay.close_downstream = True
        if self.worker.draining:
            relay.close_downstream = True
        if relay.extras:
            self._show(relay, data, end, status, -1 if chunked else remain, chunked=chunked)
        write = relay.downstream.write
        if chunked:
            self.state = CHUNKED
            self.tracker = ChunkTracker(collect=relay.dechunk)
            write(response_message(relay, head, data, end, start))
            relay.response_follows()
            if available:
                self._on_chunked(relay, data[start:])
            return
        if remain < 0:
            self.state = UNTIL_CLOSE
            self.reusable = False
            relay.response_bytes = available
            relay.response_follows()
            write(response_message(relay, head, data, end, stop))
            return
        if available > remain:
            # More than was announced: the rest is dropped, and the connection with it (RFC 9112, 6.3).
            self.reusable = False
            stop = start + remain
            available = remain
        relay.response_bytes = available
        if available < remain:
            # First, because the write may find the client full, which sets a shorter deadline.
            self.state = FIXED
            self.remain = remain - available
            relay.response_follows()
        if available > VIEW_BYTES_MIN:
            message = response_message(relay, head, data, end, end)
            if relay.downstream.restorer is None:
                # Both in one system call, and one segment less than two writes send.
                relay.downstream.transport.writelines((message, memoryview(data)[end:stop]))
            else:
                write(message)
                write(memoryview(data)[end:stop])
        else:
            write(response_message(relay, head, data, end, stop))
        if available == remain:
            relay.response_end(reusable=self.reusable)

    def _show(self, relay: Relay, data: bytes, end: i64, status: i64, remain: i64, *, chunked: bool) -> None:
        """Show the head, and what came of the body, to those who look at the route's answers."""
        start = end + 2
        stop = start if chunked else len(data) if remain < 0 else min(len(data), start + remain)
        if relay.tap is not None:
            relay.tap.dechunked = relay.dechunk
            relay.tap.answered(data, end, status, stop)
        looker = relay.arm.looker
        if looker is not None and not relay.overridden:
            look = looker.look(relay, data, end, remain, chunked=chunked and not relay.dechunk)
            if look is not None and stop > start:
                look.first(data[start:stop])
            relay.look = look

    def _on_fixed(self, relay: Relay, data: bytes) -> None:
        remain = self.remain - len(data)
        if remain > 0:
            self.remain = remain
            relay.response_data(data)
            return
        if remain < 0:
            self.reusable = False
            data = data[:remain]
        relay.response_data(data)
        self._end(relay)

    def _on_chunked(self, relay: Relay, data: bytes) -> None:
        tracker = self.tracker
        assert tracker is not None
        if tracker.tail:
            data = tracker.tail + data
        try:
            end = tracker.feed(data, 0)
        except ChunkError:
            self._break(relay)
            return
        passed = data
        if end < 0:
            if tracker.tail:
                passed = data[: len(data) - len(tracker.tail)]
        else:
            if end < len(data):
                self.reusable = False
                passed = data[:end]
        if relay.dechunk:
            pieces = tracker.payload
            tracker.payload = []
            for piece in pieces:
                relay.response_data(piece)
        elif passed:
            relay.response_data(passed)
        if end >= 0:
            self.tracker = None
            self._end(relay)

    def _switch(self, relay: Relay, data: bytes, end: int) -> None:
        head = self.worker.response_head
        if not relay.upgrade or not head.upgrade or relay.state != AWAITING:
            self._refuse(relay)
            return
        relay.status = 101
        relay.head_sent = True
        relay.first_byte_ns = clock_ns()
        self.state = TUNNEL
        # The fields that make the switch are hop-by-hop, and this hop makes it on both sides.
        relay.downstream.write(data[:end] + relay.arm.response_lines + data[end : end + 2])
        relay.switched()
        relay.downstream.start_tunnel()
        rest = data[end + 2 :]
        if rest:
            relay.response_data(rest)

    def _end(self, relay: Relay) -> None:
        relay.response_end(reusable=self.reusable)

    def _refuse(self, relay: Relay) -> None:
        self.buffer = b""
        relay.fault(INVALID_RESPONSE)

    def _break(self, relay: Relay) -> None:
        relay.fault(STREAM_ERROR)

    def eof_received(self) -> bool:
        relay = self.relay
        if relay is not None:
            if self.state == UNTIL_CLOSE:
                self.reusable = False
                self._end(relay)
            elif self.state == TUNNEL:
                relay.tunnel_closed()
            elif self.state == HEAD and self.served > 1 and not (self.buffer or self.informational):
                # It had been idle, and its close crossed the request. A reset says that nobody has read that.
                self.worker.loop.call_later(RESET_SECONDS, self._closed_idle)
                return True
        elif self.state == IDLE:
            self._discard_idle()
        # The transport closes itself; what the relay still waits for is settled in connection_lost.
        return False

    def _closed_idle(self) -> None:
        """Close our side too, once a reset has had the time to come."""
        if self.state == HEAD:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # an orderly end in the wrong place is as bad as a reset
        state = self.state
        self.state = CLOSED
        self.valve.close()
        self.worker.wheel.remove(self)
        self.worker.cells[UPSTREAM_CONNECTIONS_OPEN] -= 1
        self.pool.lost(self, idle=state == IDLE)
        relay = self.relay
        if relay is not None:
            self.relay = None
            if state == TUNNEL:
                relay.connection = None
                relay.tunnel_closed()
                return
            any_byte = bool(self.buffer) or self.informational > 0
            self.buffer = b""
            relay.connection_lost(self, any_byte=any_byte)

    def expire(self) -> None:
        """Idle for longer than the pool keeps a connection."""
        if self.state == IDLE:
            self.close()

    def _discard_idle(self) -> None:
        self.worker.cells[UPSTREAM_CONNECTIONS_DISCARDED] += 1
        self.close()

    def close(self) -> None:
        """Close after what was written has gone out."""
        self.pool.forget(self)
        self.state = CLOSED
        self.transport.close()

    def abort(self) -> None:
        """Close at once, so that the model server stops working on an answer nobody reads."""
        self.pool.forget(self)
        self.state = CLOSED
        self.transport.abort()

    def pause_writing(self) -> None:
        relay = self.relay
        if relay is not None:
            relay.downstream.valve.hold(PEER_FULL)

    def resume_writing(self) -> None:
        relay = self.relay
        if relay is not None:
            relay.downstream.valve.release(PEER_FULL)
