"""A live exchange: joins one downstream and one upstream connection, and is counted exactly once.

The relay decides nothing about bytes (``downstream`` and ``upstream`` parse) nor about states (``exchange``
holds the table). It moves what they produce, chooses whom to ask next when a connection fails, and turns
every end into one outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from proxy import exchange
from proxy.admission import OUTSIDE, WAITING, sheds
from proxy.counters import RETRIES, TUNNELS, TUNNELS_OPEN
from proxy.ejection import SICK_FROM, SICK_TO, lose, recover
from proxy.exchange import (
    AWAITING,
    CONNECTED,
    CONNECTING,
    CONNECTING_COMPLETE,
    DONE,
    NEW,
    RELAYING,
    RESPONSE_END,
    RESPONSE_HEAD,
    SENDING,
    TUNNEL,
    step,
)
from proxy.faults import (
    RESET,
    SHED,
    STREAM_TRUNCATED,
    TIMEOUT_CONNECT,
    TIMEOUT_FIRST_BYTE,
    TIMEOUT_IDLE,
    TIMEOUT_TOTAL,
    Fault,
    Side,
)
from proxy.flow import NO_CONNECTION, PEER_FULL
from proxy.outcomes import CLIENT_ABORT, OK, UPSTREAM_5XX, outcome_of_status
from proxy.recording import clock_ns, ends_stream, record
from proxy.retrying import may_reconnect, may_repeat
from proxy.timers import NEVER

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.downstream import Downstream
    from proxy.endpoint import Endpoint
    from proxy.live import LiveArm
    from proxy.looks import Look
    from proxy.shadow.tap import Tap
    from proxy.upstream import UpstreamConnection
    from proxy.wire.head import RequestHead

# What may wait in memory for a connection before the client is held back: one read of the event loop.
PENDING_BYTES_MAX: Final = 64 * 1024
# What is kept of the end of a stream, to see afterwards whether it was the end.
LAST_BYTES: Final = 64


class Relay:
    """One request and its answer, from the accepted head to the recorded outcome."""

    __slots__ = (
        "arm",
        "attempts",
        "balance_key",
        "body_bytes",
        "close_downstream",
        "connection",
        "dechunk",
        "downstream",
        "endpoint",
        "extras",
        "first_byte_ns",
        "group",
        "head_only",
        "head_sent",
        "id_line",
        "last",
        "look",
        "minor",
        "ordinary",
        "overridden",
        "pending",
        "pending_bytes",
        "place",
        "replay",
        "response_bytes",
        "started_ns",
        "state",
        "status",
        "tap",
        "total_at",
        "upgrade",
        "waited",
        "waiting",
        "worker",
    )

    def __init__(
        self,
        worker: WorkerContext,
        downstream: Downstream,
        arm: LiveArm,
        head: RequestHead,
        started_ns: i64,
        overridden: bool,
        group: int,
    ) -> None:
        """``group``: that of the key by which the arm was chosen (`proxy.counters`), -1 without one."""
        self.worker = worker
        self.downstream = downstream
        self.arm = arm
        self.started_ns: i64 = started_ns
        self.group = group
        self.overridden = overridden
        # Whether something is to be done at the end that few routes ask for; see `proxy.recording`.
        self.extras = overridden or arm.extras
        self.ordinary = False  # went the straight way (`proxy.straight`), so that its answer may too
        self.head_only = head.is_head
        self.minor: int = head.minor
        self.upgrade = head.upgrade
        self.close_downstream = not head.keep_alive
        self.state: int = NEW
        self.connection: UpstreamConnection | None = None
        self.endpoint: Endpoint | None = None
        self.pending: list[bytes | memoryview] | None = None
        self.pending_bytes = 0
        # The whole request, kept where it may be sent a second time.
        self.replay = b""
        self.attempts = 0
        # Hash of what a consistent choice of endpoints goes by; 0 without one.
        self.balance_key = 0
        # The tick in which `wait` last set the deadline: another one would be the same.
        self.waited = 0
        self.waiting = False
        self.dechunk = False
        self.head_sent = False
        self.status: int = 0
        self.first_byte_ns: i64 = 0
        self.body_bytes: i64 = 0
        self.response_bytes: i64 = 0
        self.total_at = 0
        self.id_line = b""
        # The last bytes of a streamed answer.
        self.last = b""
        self.place: int = OUTSIDE
        # Set where the route has shadows that take this request, and where somebody looks at the answer.
        self.tap: Tap | None = None
        self.look: Look | None = None

    # The request on its way up.

    def begin(self, message: bytes, *, complete: bool) -> None:
        """Send the rewritten head (and what came of the body with it) to an endpoint of the arm."""
        arm = self.arm
        self.state = CONNECTING_COMPLETE if complete else CONNECTING
        if not self.overridden:
            arm.counts.start(self.group)
        if arm.total:
            self.total_at = self.worker.wheel.now + arm.total + 1
        if self.worker.overload and sheds(self.worker.overload, canary=arm.canary):
            self.fault(SHED)
            return
        if arm.gate is None:
            self._attempt(message, None)
        else:
            arm.gate.enter(self, message)
        tap = self.tap
        if tap is not None:
            tap.id_line = self.id_line
            tap.begin(message, self.body_bytes, whole=complete)

    def send(self, message: bytes) -> None:
        """Send the request: there is a place for it."""
        self._attempt(message, None)

    def hold_for_place(self, message: bytes, duration: int) -> None:
        """Keep what came of the request until there is a place, for at most ``duration`` ticks."""
        self.pending = [message]
        self.pending_bytes = len(message)
        self.wait(duration)

    def send_held(self) -> None:
        """Send what was kept: there is a place now."""
        pending = self.pending
        assert pending is not None
        self.pending = None
        self._attempt(b"".join(pending), None)

    def request_data(self, data: bytes | memoryview) -> None:
        """Pass on a piece of the request body."""
        self.body_bytes += len(data)
        connection = self.connection
        if connection is not None:
            connection.write(data)
        elif self.pending is not None:
            self.pending.append(data)
            self.pending_bytes += len(data)
            if self.pending_bytes > PENDING_BYTES_MAX:
                self.downstream.valve.hold(NO_CONNECTION)
        if self.tap is not None:
            self.tap.piece(data)

    def request_end(self) -> None:
        """The last byte of the request was handed over."""
        self.state = step(self.state, exchange.REQUEST_END)
        if self.state == AWAITING:
            self.wait(self.arm.first_byte)
        if self.tap is not None:
            self.tap.complete()

    def _attempt(self, message: bytes, avoid: Endpoint | None, fresh: bool = False) -> None:
        """Send ``message`` on an idle connection, or wait for one; ``avoid`` has just failed.

        ``fresh``: not on an idle one, because one of those has just turned out to be closed.
        """
        endpoint = self.arm.only or self.arm.pick(avoid, self.balance_key)
        self.ask(endpoint, message, fresh=fresh)

    def ask(self, endpoint: Endpoint, message: bytes, *, fresh: bool) -> None:
        """Send ``message`` to ``endpoint``, on an idle connection unless it has to be a ``fresh`` one."""
        arm = self.arm
        self.attempts += 1
        arm.counts.attempt()
        self.endpoint = endpoint
        endpoint.requests += 1
        endpoint.in_flight += 1
        pool = endpoint.pool
        assert pool is not None
        idle = pool.idle
        if idle and not fresh and not pool.waiters:
            connection = idle.pop()
            # Only the number is cleared; its place in the wheel is found stale when its turn comes.
            connection.deadline = NEVER
            self.worker.reused += 1
            self._join(connection)
            connection.write(message)
            return
        self.pending = [message]
        self.pending_bytes = len(message)
        if pool.enqueue(self):
            self.waiting = True
            self.wait(arm.connect)
        else:
            self.fault(SHED)

    def connected(self, connection: UpstreamConnection) -> None:
        """A connection is ours: hand it what is there of the request."""
        self.waiting = False
        self._join(connection)
        pending = self.pending
        assert pending is not None
        self.pending = None
        self.pending_bytes = 0
        for piece in pending:
            connection.write(piece)
        self.downstream.valve.release(NO_CONNECTION)

    def _join(self, connection: UpstreamConnection) -> None:
        """Take a connection that is about to get the request."""
        connection.serve(self)
        self.connection = connection
        # Until its end the request is the client's to deliver; then the answer is the upstream's.
        if self.state == CONNECTING_COMPLETE:
            self.state = AWAITING
            self.wait(self.arm.first_byte)
        else:
            self.state = step(self.state, CONNECTED)
            self.wait(self.arm.body_idle)

    def connect_failed(self, fault: Fault) -> None:
        """No connection came, so no byte of the request reached anybody: another endpoint may be asked."""
        self.waiting = False
        pending = self.pending
        if pending is not None and may_reconnect(self):
            failed = self.endpoint
            if failed is not None and failed.ejector is not None:
                failed.ejector.failed(failed)
            self._leave_endpoint()
            self.pending = None
            self._count_retry()
            self._attempt(b"".join(pending), failed)
            return
        self.fault(fault)

    def connection_lost(self, connection: UpstreamConnection, *, any_byte: bool) -> None:
        """The upstream closed or reset the connection while it owed us something.

        ``any_byte``: some of the answer came.
        """
        self.connection = None
        if self.head_sent:
            self.fault(STREAM_TRUNCATED)
            return
        # An idle connection may be closed by the upstream just before it is used (RFC 9112, 9.3.1).
        stale = connection.served > 1 and not any_byte and self.state == AWAITING
        if stale and self.replay and may_repeat(self, connection):
            self._leave_endpoint()
            self._count_retry()
            self._attempt(self.replay, None, fresh=True)
            return
        self.fault(RESET)

    def _count_retry(self) -> None:
        self.state = step(self.state, exchange.RETRY)
        self.worker.cells[self.arm.counts.base + RETRIES] += 1

    # The response on its way down.

    def response_follows(self) -> None:
        """The head went out and a body follows."""
        self.state = step(self.state, RESPONSE_HEAD)
        self.wait(self.arm.stream_idle)

    def response_data(self, data: bytes) -> None:
        """Pass on a piece of the response body."""
        size = len(data)
        self.response_bytes += size
        # Each piece moves the idle deadline; that is a store, not a timer. First, because the write may find
        # the client full, which sets a shorter one.
        if self.waited != self.worker.wheel.now:
            self.wait(self.arm.stream_idle)
        self.downstream.write(data)
        self.last = self.last[-LAST_BYTES:] + data if size < LAST_BYTES else data[-LAST_BYTES:]
        if self.look is not None:
            self.look.add(data)
        if self.tap is not None:
            self.tap.answer_piece(data)

    def response_end(self, *, reusable: bool) -> None:
        """The last byte of the response went downstream."""
        state = self.state
        request_complete = True
        if state == AWAITING:
            # A response that came with its head is timed by the same reading of the clock.
            now_ns = self.first_byte_ns
            self.state = DONE
        else:
            now_ns = clock_ns()
            request_complete = state == RELAYING
            self.state = step(state, RESPONSE_END)
        connection = self.connection
        if connection is not None:
            self.connection = None
            connection.relay = None
            if reusable and request_complete:
                connection.pool.give_back(connection)
            else:
                connection.close()
        endpoint = self.endpoint
        if endpoint is not None:
            self.endpoint = None
            endpoint.in_flight -= 1
            if SICK_FROM <= self.status <= SICK_TO:
                lose(endpoint, self, UPSTREAM_5XX)
            elif endpoint.failures:
                recover(endpoint)
        if not request_complete:
            self.close_downstream = True
        status = self.status
        record(self, OK if status < 400 else outcome_of_status(status), now_ns)
        self.downstream.exchange_done(request_complete=request_complete)

    def switched(self) -> None:
        """A 101 that was asked for went downstream: from now on bytes are passed both ways unread."""
        self.state = step(self.state, exchange.SWITCH)
        self.worker.cells[TUNNELS] += 1
        self.worker.cells[TUNNELS_OPEN] += 1
        self.wait(self.arm.stream_idle)

    def tunnel_closed(self) -> None:
        """One side of a tunnel closed for good."""
        self.state = step(self.state, exchange.RESPONSE_END)
        self.worker.cells[TUNNELS_OPEN] -= 1
        self._drop_connection(abort=False)
        record(self, OK, clock_ns())
        self.downstream.tunnel_done()

    # Ends that nobody wished for.

    def fault(self, fault: Fault) -> None:
        """End the exchange with an error; nothing is ever written into an answer that has begun."""
        state = self.state
        if state == TUNNEL:
            self.tunnel_closed()
            return
        request_complete = state in (AWAITING, CONNECTING_COMPLETE, RELAYING)
        self.state = step(state, exchange.FAULT)
        endpoint = self.endpoint
        if endpoint is not None and fault.side == Side.UPSTREAM:
            lose(endpoint, self, fault.outcome)
        self._drop_connection(abort=True)
        record(self, fault.outcome, 0)
        if self.head_sent:
            self.downstream.abort()
        else:
            self.downstream.answer_fault(fault, request_complete=request_complete)

    def client_gone(self) -> None:
        """Downstream is gone: cancel the work upstream at once, and blame no arm."""
        tunnel = self.state == TUNNEL
        self.state = step(self.state, exchange.CLIENT_GONE)
        if tunnel:
            self.worker.cells[TUNNELS_OPEN] -= 1
        self._drop_connection(abort=not tunnel)
        outcome: int = OK
        if not tunnel:
            # Who reads no further than the status has been answered; so has who saw a stream's own end.
            status = self.status
            if status >= 400:
                outcome = outcome_of_status(status)
            elif not ends_stream(self.last):
                outcome = CLIENT_ABORT
        record(self, outcome, clock_ns())

    def expired(self) -> None:
        """The deadline that was set last has passed."""
        state = self.state
        if self.total_at and self.worker.wheel.now >= self.total_at:
            self.fault(TIMEOUT_TOTAL)
        elif state in (CONNECTING, CONNECTING_COMPLETE):
            self.fault(SHED if self.place == WAITING else TIMEOUT_CONNECT)
        elif state == AWAITING:
            self.fault(TIMEOUT_FIRST_BYTE)
        elif state == SENDING:
            if self.downstream.valve.holders & PEER_FULL:
                # The client would send, but the upstream takes nothing.
                self.fault(TIMEOUT_FIRST_BYTE)
            else:
                self.downstream.body_timed_out()
        elif state == TUNNEL:
            self.tunnel_closed()
        elif self.connection is not None and self.connection.valve.holders & PEER_FULL:
            # The upstream would send, but the client takes nothing: it has left in all but name.
            self.downstream.cut_off()
        else:
            self.fault(TIMEOUT_IDLE)

    # Book-keeping.

    def wait(self, duration: int) -> None:
        """Give the current phase ``duration`` ticks (0: no limit), never past the end of the total time."""
        wheel = self.worker.wheel
        self.waited = wheel.now
        deadline = wheel.now + duration + 1 if duration else NEVER
        total_at = self.total_at
        if total_at and (deadline == NEVER or total_at < deadline):
            deadline = total_at
        downstream = self.downstream
        # Nearly always later than the one before, which is a store; see `proxy.timers`.
        if NEVER < downstream.placed <= deadline:
            downstream.deadline = deadline
        else:
            wheel.set_at(downstream, deadline)

    def _leave_endpoint(self) -> None:
        endpoint = self.endpoint
        if endpoint is not None:
            self.endpoint = None
            endpoint.in_flight -= 1
            if self.waiting and endpoint.pool is not None:
                self.waiting = False
                endpoint.pool.dequeue(self)

    def _drop_connection(self, *, abort: bool) -> None:
        connection = self.connection
        if connection is not None:
            self.connection = None
            connection.relay = None
            if abort:
                connection.abort()
            else:
                connection.close()
        self._leave_endpoint()
