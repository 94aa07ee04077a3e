"""One client connection: reads requests strictly, one after the other, and writes their answers in order.

Pipelined requests wait as bytes until the answer before them is out. A request that cannot be accepted is
answered and the connection closed; nothing behind it is read (RFC 9112, section 11.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from proxy.answers import CONTINUE, answer
from proxy.balancers.consistent_hash import key_hash
from proxy.client import CHUNKED, CLOSED, FIXED, HEAD, LINGER, TUNNEL, WAIT, ClientConnection
from proxy.counters import (
    KEEPALIVE_EXPIRED,
    REQUESTS_MALFORMED,
    REQUESTS_REFUSED,
    REQUESTS_TIMED_OUT_BODY,
    REQUESTS_TIMED_OUT_HEAD,
    REQUESTS_UNMATCHED,
)
from proxy.flow import NO_CONNECTION, PEER_FULL, PIPELINED, VIEW_BYTES_MIN
from proxy.held import Held
from proxy.outbound import request_message
from proxy.pace import drips
from proxy.recording import clock_ns
from proxy.relay import Relay
from proxy.request import RequestView
from proxy.restoring import renamed
from proxy.retrying import REPLAY_BYTES_MAX
from proxy.shadow.tap import tap_for
from proxy.straight import send
from proxy.wire.chunked import ChunkError, ChunkTracker
from proxy.wire.grammar import COMPILED
from proxy.wire.head import RequestHead, scan_beginning, scan_request
from proxy.wire.scan_bytes import head_end

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.live import LiveArm
    from proxy.table import Route

# Pipelined bytes kept while a request is being answered; behind that the client is not read.
PIPELINED_BYTES_MAX: Final = 64 * 1024
CARRIAGE_RETURN: Final = 13


class Downstream(ClientConnection):
    """A protocol on the client's side."""

    __slots__ = ("held", "remain", "tracker")

    def __init__(self, worker: WorkerContext) -> None:
        super().__init__(worker)
        self.remain = 0
        self.tracker: ChunkTracker | None = None
        # A request whose split wants to see the body first.
        self.held: Held | None = None

    # Called by the event loop.

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == HEAD:
            if self.buffer:
                # The blank line may have begun in the last three bytes of what was there before.
                searched = max(0, len(self.buffer) - 3)
                data = self.buffer + data
                self.buffer = b""
                self._on_head(data, searched)
            else:
                self._on_head(data, 0)
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
            self.discard(data)

    def expire(self) -> None:
        relay = self.relay
        if relay is not None:
            relay.expired()
        elif self.state == HEAD:
            if self.buffer:
                self.worker.cells[REQUESTS_TIMED_OUT_HEAD] += 1
                self.refuse(
                    408, "request_head_timeout", "the request head did not come in time", head_only=False
                )
            else:
                self.worker.cells[KEEPALIVE_EXPIRED] += 1
                self.state = CLOSED
                self.transport.close()
        elif self.held is not None:
            self.body_timed_out()
        else:
            self.abort()

    # The head.

    def _on_head(self, data: bytes, searched: i64) -> None:
        """Take a request from the front of ``data``; the first ``searched`` bytes hold no end of a head."""
        if data[0] == CARRIAGE_RETURN:
            # One empty line before a request is tolerated (RFC 9112, section 2.2).
            if data[:2] == b"\r\n" and not self.blank_line:
                data = data[2:]
                searched = 0
                # One, not one with every read.
                self.blank_line = True
            if len(data) < 2:
                self.buffer = data
                return
        end: i64 = head_end(data, searched) if COMPILED else data.find(b"\r\n\r\n", searched) + 2
        if end < 2:
            self._keep_partial(data)
            return
        started_ns: i64 = clock_ns()
        worker = self.worker
        live = worker.live
        worker.requests += 1
        if end > live.head_bytes_max:
            self._malformed(431, "request head too large")
            return
        head = worker.request_head
        if not scan_request(head, data, end, live.headers_max):
            self._malformed(head.error, head.reason)
            return
        if live.body_bytes_max and head.content_length > live.body_bytes_max:
            worker.cells[REQUESTS_REFUSED] += 1
            message = f"the body is larger than {live.body_bytes_max} bytes"
            self.refuse(413, "body_too_large", message, head_only=head.is_head)
            return
        route = live.everything
        if route is None:
            route = live.table.match(head.method, head.target, head.host, data, head.line_end, end)
        if route is None:
            worker.cells[REQUESTS_UNMATCHED] += 1
            self._unmatched(head, data, end)
            return
        overridden, group = False, -1
        keyed = route.keyed
        if keyed is not None and head.noted_value and keyed.noted == head.noted:
            arm = live.arms[keyed.choose_keyed(head.noted_value).index]
            group = keyed.group
            if arm.guarded:
                arm = arm.or_fallback(live.arms)
        elif route.direct is not None:
            arm = live.arms[route.direct.index]
        else:
            body: bytes | None = None
            if route.needs_body and (head.chunked or head.content_length > 0):
                if not self._whole(route, head, len(data) - end - 2):
                    self._hold(route, data, end, started_ns)
                    return
                body = data[end + 2 :]
            view = RequestView.of(head, data, end, self.client, body)
            arm = self._choose(route, view)
            overridden = view.overridden
            group = view.group
        ordinary = head.ordinary and not (arm.special or overridden)
        if not ordinary or not send(self, arm, head, data, end, started_ns, group):
            self._open(arm, head, data, end, started_ns, overridden, group)

    def _keep_partial(self, data: bytes) -> None:
        """Wait for the rest of a head, for a while."""
        worker = self.worker
        if len(data) > worker.live.head_bytes_max:
            self._malformed(431, "request head too large")
            return
        if not scan_beginning(worker.request_head, data):
            # No need to wait for the rest of something that cannot become a request.
            self._malformed(worker.request_head.error, worker.request_head.reason)
            return
        self.buffer = data
        limit = worker.live.request_head
        # The first byte starts the clock; a client that drips bytes does not restart it.
        if limit and (not self.deadline or self.deadline > worker.wheel.now + limit + 1):
            worker.wheel.set(self, limit)

    def _whole(self, route: Route, head: RequestHead, size: i64) -> bool:
        """Whether a body of ``size`` bytes is all there and may be looked into as it is."""
        small = size <= self.worker.live.table.limits.inspect_bytes
        return small and size == head.content_length and not (route.renames or head.expect)

    def _choose(self, route: Route, view: RequestView) -> LiveArm:
        """Let the route choose an arm, unless that arm is diverted just now."""
        arms = self.worker.live.arms
        arm = arms[route.assign(view).index]
        if arm.guarded and not view.overridden:
            arm = arm.or_fallback(arms)
        return arm

    def _open(
        self, arm: LiveArm, head: RequestHead, data: bytes, end: i64, ns: i64, overridden: bool, group: int
    ) -> None:
        """Open the exchange, begun at ``ns``, with what is there of the request."""
        relay = Relay(self.worker, self, arm, head, ns, overridden, group)
        if arm.keys is not None:
            relay.balance_key = key_hash(arm.keys.read(RequestView.of(head, data, end, self.client)))
        self.relay = relay
        if arm.mirrors is not None:
            relay.tap = tap_for(arm.mirrors, arm.arm.index, head, data, end, self.client, overridden)
        start: i64 = end + 2
        stop: i64 = len(data)
        length: i64 = head.content_length if head.content_length > 0 else 0
        if head.chunked:
            self.state = CHUNKED
            self.tracker = ChunkTracker()
            relay.begin(request_message(self, relay, head, data, end, start), complete=False)
            if stop > start and self.relay is relay:
                self._on_chunked(data[start:])
            return
        if start + length <= stop:
            self.state = WAIT
            if start + length < stop:
                stop = start + length
                self.buffer = data[stop:]
            if length >= REPLAY_BYTES_MAX:
                # Too large to be kept for a second attempt.
                relay.begin(request_message(self, relay, head, data, end, start), complete=False)
                if self.relay is relay:
                    relay.request_data(memoryview(data)[start:stop])
                    relay.request_end()
                return
            relay.body_bytes = length
            message = request_message(self, relay, head, data, end, stop)
            if len(message) <= REPLAY_BYTES_MAX:
                relay.replay = message
            relay.begin(message, complete=True)
            return
        self.state = FIXED
        self.remain = start + length - stop
        if stop - start > VIEW_BYTES_MIN:
            relay.begin(request_message(self, relay, head, data, end, start), complete=False)
            if self.relay is relay:
                relay.request_data(memoryview(data)[start:])
        else:
            relay.body_bytes = stop - start
            relay.begin(request_message(self, relay, head, data, end, stop), complete=False)

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
            self._bad_body(str(exc))
            return
        limit = self.worker.live.body_bytes_max
        if limit and tracker.announced > limit:
            # Before any of the piece goes up: a body that is refused must not arrive whole.
            self.worker.cells[REQUESTS_REFUSED] += 1
            self._end_by_client(413, "body_too_large", f"the body is larger than {limit} bytes")
            return
        if end < 0:
            passed = data[: len(data) - len(tracker.tail)] if tracker.tail else data
        else:
            passed = data[:end]
            if end < len(data):
                self.buffer = data[end:]
            self.tracker = None
        if self.held is not None:
            self.held.content += tracker.payload
            tracker.payload = []
            self._keep_held(passed, complete=end >= 0)
            return
        relay = self.relay
        if relay is None:
            return
        if passed:
            relay.request_data(passed)
        if end >= 0:
            self.state = WAIT
            relay.request_end()
        else:
            self._body_goes_on(relay)

    def _body_goes_on(self, relay: Relay) -> None:
        if relay.connection is not None and not relay.head_sent and relay.waited != self.worker.wheel.now:
            rate = self.worker.live.body_rate
            if rate and not self.valve.holders and drips(relay, rate):
                self.body_timed_out()
            else:
                relay.wait(relay.arm.body_idle)

    def _keep_pipelined(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > PIPELINED_BYTES_MAX:
            self.valve.hold(PIPELINED)

    # A split that looks into the body.

    def _hold(self, route: Route, data: bytes, end: i64, started_ns: i64) -> None:
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
        small = held.size <= worker.live.table.limits.inspect_bytes
        if small and not complete:
            worker.wheel.set(self, worker.live.request_body_idle)
            return
        self.held = None
        head = worker.request_head
        # Another connection's request was scanned in between: scan ours again, it is known to be valid.
        scan_request(head, held.head, held.end, worker.live.headers_max)
        # A body over the limit is not looked into: the key counts as absent, and the request streams on.
        body = held.body() if small else None
        view = RequestView.of(head, held.head, held.end, self.client, body)
        arm = self._choose(held.route, view)
        data, end = held.message(), held.end
        if arm.model and not head.is_head:
            data, end = renamed(self, held, body, arm.model)
            scan_request(head, data, end, worker.live.headers_max)
        # From here on it is a request like any other, read again from its first byte.
        data += self.buffer
        self.buffer = b""
        self._open(arm, head, data, end, held.started_ns, view.overridden, view.group)
        relay, restorer = self.relay, self.restorer
        if restorer is not None and relay is not None and relay.tap is not None:
            relay.tap.client_model = restorer.name

    # Ends.

    def exchange_done(self, *, request_complete: bool) -> None:
        """The answer is out; go on to the next request, or close."""
        relay = self.relay
        self.relay = None
        valve = self.valve
        if valve.holders:
            valve.release(PEER_FULL)
            valve.release(NO_CONNECTION)
        if (relay is not None and relay.close_downstream) or not request_complete:
            self.close_after_answer()
            return
        self.ready()
        if self.buffer:
            data = self.buffer
            self.buffer = b""
            valve.release(PIPELINED)
            self._on_head(data, 0)
        if self.worker.ending:
            # Nobody has told the client that this was the last answer: its next request may be on its way.
            self.drain()

    def body_timed_out(self) -> None:
        """The client did not deliver the body it announced: its own doing, charged to no arm."""
        self.worker.cells[REQUESTS_TIMED_OUT_BODY] += 1
        self._end_by_client(408, "request_body_timeout", "the request body did not come in time")

    def _malformed(self, status: int, reason: str) -> None:
        self.worker.cells[REQUESTS_MALFORMED] += 1
        self.refuse(status, "malformed_request", reason, head_only=False)

    def _bad_body(self, reason: str) -> None:
        self.worker.cells[REQUESTS_MALFORMED] += 1
        self._end_by_client(400, "malformed_body", reason)

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
        self.refuse(status, code, message, head_only=False)

    def _unmatched(self, head: RequestHead, data: bytes, end: int) -> None:
        """No route takes the request: 404, and the connection stays if the request is over."""
        start = end + 2
        whole = not head.chunked and head.content_length <= len(data) - start
        message = "no route matches this request"
        if not whole or not head.keep_alive or self.worker.draining:
            self.refuse(404, "no_route", message, head_only=head.is_head)
            return
        self.write(answer(404, "no_route", message, close=False, head_only=head.is_head))
        rest = data[start + max(head.content_length, 0) :]
        self.worker.wheel.set(self, self.worker.live.keepalive_idle)
        if rest:
            self._on_head(rest, 0)

    def forget_request(self) -> None:
        self.held = None
        self.tracker = None
