"""One client connection: reads requests strictly, one after the other, and writes their answers in order.

Pipelined requests wait as bytes until the answer before them is out. A request that cannot be accepted is
answered and the connection closed; nothing behind it is read (RFC 9112, section 11.2).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, cast

from proxy import counters
from proxy.answers import CONTINUE, answer
from proxy.faults import Fault
from proxy.flow import CONNECTING, PEER_FULL, PIPELINED, Valve
from proxy.relay import IDEMPOTENT, Relay
from proxy.request import RequestView
from proxy.timers import TICKS_PER_SECOND, Timed
from proxy.upstream import VIEW_BYTES_MIN
from proxy.wire.chunked import ChunkError, ChunkTracker
from proxy.wire.head import RequestHead, find_head_end, scan_request
from proxy.wire.rewrite import cut

if TYPE_CHECKING:
    from proxy.table import Route
    from proxy.worker import Worker

# What the connection reads next.
HEAD: Final = 0
FIXED: Final = 1
CHUNKED: Final = 2
WAIT: Final = 3  # the request is complete, its answer is not
TUNNEL: Final = 4
LINGER: Final = 5  # closing: what still comes is thrown away, so that the answer is not lost to a reset
CLOSED: Final = 6

# Pipelined bytes kept while a request is being answered; behind that the client is not read.
PIPELINED_BYTES_MAX: Final = 64 * 1024
# How long and how much a closing connection is read, before it is closed for good.
LINGER_TICKS: Final = 2 * TICKS_PER_SECOND
LINGER_BYTES_MAX: Final = 1024 * 1024
VERSION_LINE_END: Final = b" HTTP/1.1\r\n"
# SO_LINGER with time 0: close by reset, so that no client takes a truncated answer for a whole one.
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Downstream(Timed):
    """A protocol on the client's side."""

    __slots__ = (
        "buffer",
        "client",
        "discarded",
        "eof",
        "forward_lines",
        "held",
        "relay",
        "remain",
        "state",
        "tracker",
        "transport",
        "valve",
        "worker",
        "write",
    )

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.worker = worker
        self.relay: Relay | None = None
        self.state = HEAD
        self.buffer = b""
        self.remain = 0
        self.tracker: ChunkTracker | None = None
        # A request whose split wants to see the body first: its pieces so far.
        self.held: Held | None = None
        self.discarded = 0
        self.eof = False

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        worker = self.worker
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.valve = Valve(self.transport)
        cells = worker.cells
        cells[counters.CONNECTIONS_ACCEPTED] += 1
        cells[counters.CONNECTIONS_OPEN] += 1
        peer = transport.get_extra_info("peername")
        self.client = peer[0].encode() if isinstance(peer, tuple) else b""
        self.forward_lines = worker.live.forwarding.connection_lines(self.client)
        worker.downstreams.add(self)
        if len(worker.downstreams) > worker.live.table.limits.connections:
            cells[counters.CONNECTIONS_REFUSED] += 1
            self._refuse(503, "connection_limit", "too many connections", head_only=False)
            return
        worker.wheel.set(self, worker.live.keepalive_idle)

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == HEAD:
            if self.buffer:
                data = self.buffer + data
                self.buffer = b""
            self._on_head(data)
        elif state == FIXED:
            self._on_fixed(data)
        elif state == CHUNKED:
            self._on_chunked(data)
        elif state == WAIT:
            self._keep_pipelined(data)
        elif state == TUNNEL:
            if self.relay is not None:
                self.relay.request_data(data)
        elif state == LINGER:
            self.discarded += len(data)
            if self.discarded > LINGER_BYTES_MAX:
                self.abort()

    def eof_received(self) -> bool:
        self.eof = True
        # Like nginx, we take a client that closes its sending side while it is owed an answer as gone: a
        # full close looks the same, and a model server should not work for nobody.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        worker = self.worker
        self.state = CLOSED
        self.valve.close()
        worker.wheel.remove(self)
        worker.cells[counters.CONNECTIONS_OPEN] -= 1
        worker.downstreams.discard(self)
        self.buffer = b""
        self.held = None
        relay = self.relay
        if relay is not None:
            self.relay = None
            relay.client_gone()
        if worker.draining:
            worker.drained_one()

    def pause_writing(self) -> None:
        relay = self.relay
        if relay is not None and relay.connection is not None:
            relay.connection.valve.hold(PEER_FULL)

    def resume_writing(self) -> None:
        relay = self.relay
        if relay is not None and relay.connection is not None:
            relay.connection.valve.release(PEER_FULL)

    def expire(self) -> None:
        relay = self.relay
        if relay is not None:
            relay.expired()
        elif self.state == HEAD:
            if self.buffer:
                self.worker.cells[counters.REQUESTS_TIMED_OUT_HEAD] += 1
                self._refuse(
                    408, "request_head_timeout", "the request head did not come in time", head_only=False
                )
            else:
                self.worker.cells[counters.KEEPALIVE_EXPIRED] += 1
                self.state = CLOSED
                self.transport.close()
        elif self.held is not None:
            self.body_timed_out()
        else:
            self.abort()

    # The head.

    def _on_head(self, data: bytes) -> None:
        worker = self.worker
        limits = worker.live.table.limits
        if data[0] == 13:
            # One empty line before a request is tolerated (RFC 9112, section 2.2).
            if data[:2] == b"\r\n":
                data = data[2:]
            if len(data) < 2:
                self.buffer = data
                return
        end = find_head_end(data, 0)
        if end < 0:
            if len(data) > limits.head_bytes:
                self._malformed(431, "request head too large")
                return
            self.buffer = data
            limit = worker.live.request_head
            # The first byte starts the clock; a client that drips bytes does not restart it.
            if limit and (not self.deadline or self.deadline > worker.wheel.now + limit + 1):
                worker.wheel.set(self, limit)
            return
        started_ns = perf_counter_ns()
        worker.cells[counters.REQUESTS] += 1
        if end > limits.head_bytes:
            self._malformed(431, "request head too large")
            return
        head = worker.request_head
        if not scan_request(head, data, end, limits.headers):
            self._malformed(head.error, head.reason)
            return
        if limits.body_bytes and head.content_length > limits.body_bytes:
            worker.cells[counters.REQUESTS_REFUSED] += 1
            self._refuse(
                413,
                "body_too_large",
                f"the body is larger than {limits.body_bytes} bytes",
                head_only=head.is_head,
            )
            return
        live = worker.live
        route = live.table.match(head.method, head.target, head.host, data, head.line_end, end)
        if route is None:
            worker.cells[counters.REQUESTS_UNMATCHED] += 1
            self._unmatched(head, data, end)
            return
        has_body = head.chunked or head.content_length > 0
        if has_body and route.needs_body:
            self._hold(route, data, end, started_ns)
            return
        view = RequestView(data, head.line_end, end, head.method, head.target, head.host, self.client)
        self._start(route, view, head, data, end, started_ns)

    def _start(
        self, route: Route, view: RequestView, head: RequestHead, data: bytes, end: int, started_ns: int
    ) -> None:
        """Choose the arm and open the exchange with what is there of the request."""
        worker = self.worker
        arm = route.assign(view)
        live_arm = worker.live.arms[arm.index]
        guard = live_arm.guard
        if guard is not None and live_arm.guarded and not view.overridden and guard.diverts():
            live_arm = worker.live.arms[live_arm.fallback]
        relay = Relay(worker, self, live_arm, started_ns)
        relay.overridden = view.overridden
        relay.head_only = head.is_head
        relay.minor = head.minor
        relay.upgrade = head.upgrade
        relay.close_downstream = not head.keep_alive
        relay.replay_safe = head.method in IDEMPOTENT
        self.relay = relay
        out = self._rewritten(relay, head, data, end)
        start = end + 2
        available = len(data) - start
        if head.chunked:
            self.state = CHUNKED
            self.tracker = ChunkTracker()
            relay.begin(out + b"\r\n", complete=False)
            if available and self.relay is relay:
                self._on_chunked(data[start:])
            return
        length = head.content_length
        if length <= available:
            self.state = WAIT
            if length < 0:
                length = 0
            if length < available:
                self.buffer = data[start + length :]
                data = data[: start + length]
            relay.body_bytes = length
            relay.begin(out + data[end:], complete=True)
            return
        self.state = FIXED
        self.remain = length - available
        relay.body_bytes = available
        if available > VIEW_BYTES_MIN:
            relay.begin(out + b"\r\n", complete=False)
            if self.relay is relay:
                relay.request_data(data[start:])
                relay.body_bytes -= available
        else:
            relay.begin(out + data[end:], complete=False)

    def _rewritten(self, relay: Relay, head: RequestHead, data: bytes, end: int) -> bytes:
        """Return the request head for the upstream, without the blank line."""
        worker = self.worker
        if head.minor == 1:
            kept = cut(data, 0, end, head.cuts) if head.cuts else data[:end]
        else:
            # RFC 9110, section 2.5: a proxy speaks its own version.
            line = head.line_end
            version = line - len(VERSION_LINE_END)
            kept = cut(data, 0, version, head.cuts) + VERSION_LINE_END + cut(data, line, end, head.cuts)
            if not head.host:
                kept += b"host: " + relay.arm.authority + b"\r\n"
        if head.upgrade:
            kept += b"connection: upgrade\r\nupgrade: " + head.upgrade_protocol + b"\r\n"
        lines = self.forward_lines + worker.live.forwarding.proto_and_host(data, end, head.host)
        if head.request_id_start >= 0:
            relay.request_id = data[head.request_id_start : head.request_id_end]
            return kept + lines
        request_id = worker.request_ids.next()
        relay.request_id = request_id
        return kept + lines + worker.live.forwarding.request_id_line(request_id)

    def response_lines(self, relay: Relay) -> bytes:
        """Return the fields that this connection adds to a response: the request id, and how it goes on."""
        worker = self.worker
        lines = worker.live.forwarding.request_id_line(relay.request_id)
        if worker.draining:
            relay.close_downstream = True
        if relay.close_downstream:
            return lines + b"connection: close\r\n"
        if relay.minor == 0:
            return lines + b"connection: keep-alive\r\n"
        return lines

    # The body.

    def _on_fixed(self, data: bytes) -> None:
        remain = self.remain - len(data)
        if remain < 0:
            self.buffer = data[remain:]
            data = data[:remain]
            remain = 0
        self.remain = remain
        if self.held is not None:
            self._keep_held(data, complete=remain == 0)
            return
        relay = self.relay
        if relay is None:
            return
        relay.request_data(data)
        if remain == 0:
            self.state = WAIT
            relay.request_end()
        else:
            self._body_goes_on(relay)

    def _on_chunked(self, data: bytes) -> None:
        tracker = self.tracker
        assert tracker is not None
        if tracker.tail:
            data = tracker.tail + data
        try:
            end = tracker.feed(data, 0)
        except ChunkError as exc:
            self._bad_body(400, str(exc))
            return
        if end < 0:
            passed = data[: len(data) - len(tracker.tail)] if tracker.tail else data
        else:
            passed = data[:end]
            if end < len(data):
                self.buffer = data[end:]
            self.tracker = None
        if self.held is not None:
            self.held.values += tracker.payload
            tracker.payload = []
            self._keep_held(passed, complete=end >= 0)
            return
        relay = self.relay
        if relay is None:
            return
        if passed:
            relay.request_data(passed)
        limit = self.worker.live.table.limits.body_bytes
        if limit and relay.body_bytes > limit:
            self._bad_body(413, f"the body is larger than {limit} bytes")
            return
        if end >= 0:
            self.state = WAIT
            relay.request_end()
        else:
            self._body_goes_on(relay)

    def _body_goes_on(self, relay: Relay) -> None:
        if relay.connection is not None and not relay.head_sent:
            relay.wait(relay.arm.body_idle)

    def _keep_pipelined(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > PIPELINED_BYTES_MAX:
            self.valve.hold(PIPELINED)

    # A split that looks into the body.

    def _hold(self, route: Route, data: bytes, end: int, started_ns: int) -> None:
        """Collect the body, up to the limit, before the arm is chosen."""
        worker = self.worker
        head = worker.request_head
        start = end + 2
        self.held = Held(route, data[:start], end, started_ns, chunked=head.chunked)
        if head.expect:
            # The body decides where the request goes, so the permission to send it is ours to give.
            self.write(CONTINUE)
        worker.wheel.set(self, worker.live.request_body_idle)
        rest = data[start:]
        if head.chunked:
            self.state = CHUNKED
            self.tracker = ChunkTracker(collect=True)
            if rest:
                self._on_chunked(rest)
        else:
            self.state = FIXED
            self.remain = head.content_length
            if rest:
                self._on_fixed(rest)

    def _keep_held(self, data: bytes, *, complete: bool) -> None:
        held = self.held
        assert held is not None
        held.add(data)
        worker = self.worker
        if not complete and held.size <= worker.live.table.limits.inspect_bytes:
            worker.wheel.set(self, worker.live.request_body_idle)
            return
        self.held = None
        head = worker.request_head
        # Another connection's request was scanned in between: scan ours again, it is known to be valid.
        scan_request(head, held.head, held.end, worker.live.table.limits.headers)
        # A body over the limit is not looked into: the key counts as absent, and the request streams on.
        body = held.content() if complete else None
        view = RequestView(
            held.head, head.line_end, held.end, head.method, head.target, head.host, self.client, body
        )
        # From here on it is a request like any other, read again from its first byte.
        data = held.message() + self.buffer
        self.buffer = b""
        self._start(held.route, view, head, data, held.end, held.started_ns)

    # Ends.

    def exchange_done(self, *, request_complete: bool) -> None:
        """The answer is out; go on to the next request, or close."""
        relay = self.relay
        self.relay = None
        valve = self.valve
        if valve.holders:
            valve.release(PEER_FULL)
            valve.release(CONNECTING)
        worker = self.worker
        if (relay is not None and relay.close_downstream) or not request_complete or worker.draining:
            self._close_after_answer()
            return
        self.state = HEAD
        worker.wheel.set(self, worker.live.keepalive_idle)
        if self.buffer:
            data = self.buffer
            self.buffer = b""
            valve.release(PIPELINED)
            self._on_head(data)

    def answer_fault(self, fault: Fault, *, request_complete: bool) -> None:
        """Answer in our own name: the exchange failed before anything of a response went out."""
        relay = self.relay
        head_only = relay is not None and relay.head_only
        close = not request_complete or (relay is not None and relay.close_downstream) or self.worker.draining
        if relay is not None:
            relay.close_downstream = close
        out = answer(fault.status, fault.code, fault.message, close=close, head_only=head_only)
        if relay is not None:
            # The arm and the id go in front of the blank line, so that an error can be traced too.
            split = out.index(b"\r\n\r\n") + 2
            lines = self.worker.live.forwarding.request_id_line(relay.request_id)
            out = out[:split] + relay.arm.response_lines + lines + out[split:]
        self.write(out)
        self.exchange_done(request_complete=request_complete)

    def body_timed_out(self) -> None:
        """The client did not deliver the body it announced: its own doing, charged to no arm."""
        self.worker.cells[counters.REQUESTS_TIMED_OUT_BODY] += 1
        self._end_by_client(408, "request_body_timeout", "the request body did not come in time")

    def start_tunnel(self) -> None:
        """Bytes are passed on unread from now on."""
        self.state = TUNNEL
        rest = self.buffer
        self.buffer = b""
        if rest and self.relay is not None:
            self.relay.request_data(rest)

    def tunnel_done(self) -> None:
        """The other side of the tunnel closed; close ours when everything is written."""
        self.relay = None
        self.state = CLOSED
        self.transport.close()

    def abort(self) -> None:
        """Close by reset: what was sent of an answer is no answer."""
        relay = self.relay
        self.relay = None
        self.state = CLOSED
        if relay is not None and relay.head_sent:
            raw = self.transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()

    def cut_off(self) -> None:
        """Our time is up: end whatever is in progress, charged to nobody, and close."""
        relay = self.relay
        if relay is not None:
            self.relay = None
            relay.client_gone()
            self.relay = relay
        self.abort()

    def drain(self) -> None:
        """Close as soon as nothing is owed to the client."""
        if self.relay is None and self.state == HEAD and not self.buffer:
            self.state = CLOSED
            self.transport.close()

    def _malformed(self, status: int, reason: str) -> None:
        self.worker.cells[counters.REQUESTS_MALFORMED] += 1
        self._refuse(status, "malformed_request", reason, head_only=False)

    def _bad_body(self, status: int, reason: str) -> None:
        self.worker.cells[counters.REQUESTS_MALFORMED] += 1
        self._end_by_client(status, "malformed_body", reason)

    def _end_by_client(self, status: int, code: str, message: str) -> None:
        """End an exchange that the client spoiled, without charging anybody else."""
        relay = self.relay
        self.held = None
        self.relay = None
        if relay is not None:
            relay.client_gone()
            if relay.head_sent:
                self.relay = relay
                self.abort()
                return
        self._refuse(status, code, message, head_only=False)

    def _unmatched(self, head: RequestHead, data: bytes, end: int) -> None:
        """No route takes the request: 404, and the connection stays if the request is over."""
        start = end + 2
        whole = not head.chunked and head.content_length <= len(data) - start
        message = "no route matches this request"
        if not whole or not head.keep_alive:
            self._refuse(404, "no_route", message, head_only=head.is_head)
            return
        self.write(answer(404, "no_route", message, close=False, head_only=head.is_head))
        rest = data[start + max(head.content_length, 0) :]
        self.worker.wheel.set(self, self.worker.live.keepalive_idle)
        if rest:
            self._on_head(rest)

    def _refuse(self, status: int, code: str, message: str, *, head_only: bool) -> None:
        """Answer and close; requests behind this one are never read."""
        self.write(answer(status, code, message, close=True, head_only=head_only))
        self._close_after_answer()

    def _close_after_answer(self) -> None:
        """Close in two steps, so that a client still sending reads its answer before it sees a reset.

        RFC 9112, section 9.6: half-close, read on for a while, then close.
        """
        self.buffer = b""
        self.tracker = None
        self.valve.release(PIPELINED)
        if self.eof or self.transport.is_closing():
            self.state = CLOSED
            self.transport.close()
            return
        self.state = LINGER
        self.transport.write_eof()
        self.worker.wheel.set(self, LINGER_TICKS)


class Held:
    """A request that waits for its body, because the split looks into it."""

    __slots__ = ("chunked", "end", "head", "pieces", "route", "size", "started_ns", "values")

    def __init__(self, route: Route, head: bytes, end: int, started_ns: int, *, chunked: bool) -> None:
        self.route = route
        self.head = head
        self.end = end
        self.started_ns = started_ns
        self.chunked = chunked
        self.pieces: list[bytes] = []
        # The content, where it came in chunks.
        self.values: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        """Keep a piece of the body as it came."""
        if data:
            self.pieces.append(data)
            self.size += len(data)

    def content(self) -> bytes:
        """Return the body without its framing."""
        return b"".join(self.values if self.chunked else self.pieces)

    def message(self) -> bytes:
        """Return head and body as they came."""
        return self.head + b"".join(self.pieces)
