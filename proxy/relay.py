"""A live exchange: joins one downstream and one upstream connection, and is counted exactly once.

The relay decides nothing about bytes (``downstream`` and ``upstream`` parse) nor about states (``exchange``
holds the table). It moves what they produce, chooses whom to ask next when a connection fails, and turns
every end into one outcome.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from proxy import counters
from proxy.exchange import Event, State, step
from proxy.faults import (
    RESET,
    SHED,
    STREAM_TRUNCATED,
    TIMEOUT_CONNECT,
    TIMEOUT_FIRST_BYTE,
    TIMEOUT_IDLE,
    TIMEOUT_TOTAL,
    Fault,
)
from proxy.flow import CONNECTING, PEER_FULL
from proxy.histogram import bucket_index
from proxy.outcomes import Outcome, outcome_of_status
from proxy.timers import NEVER

if TYPE_CHECKING:
    from proxy.downstream import Downstream
    from proxy.endpoint import Endpoint
    from proxy.live import LiveArm
    from proxy.upstream import UpstreamConnection
    from proxy.worker import Worker

# What may wait in memory for a connection before the client is held back: one read of the event loop.
PENDING_BYTES_MAX: Final = 64 * 1024
# RFC 9110, section 9.2.2: repeating these changes nothing.
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})


class Relay:
    """One request and its answer, from the accepted head to the recorded outcome."""

    __slots__ = (
        "arm",
        "attempts",
        "body_bytes",
        "close_downstream",
        "connection",
        "dechunk",
        "downstream",
        "endpoint",
        "first_byte_ns",
        "head_only",
        "head_sent",
        "minor",
        "overridden",
        "pending",
        "pending_bytes",
        "replay",
        "replay_safe",
        "request_id",
        "response_bytes",
        "started_ns",
        "state",
        "status",
        "total_at",
        "upgrade",
        "waiting",
        "worker",
    )

    def __init__(self, worker: Worker, downstream: Downstream, arm: LiveArm, started_ns: int) -> None:
        self.worker = worker
        self.downstream = downstream
        self.arm = arm
        self.started_ns = started_ns
        self.state: int = State.NEW
        self.connection: UpstreamConnection | None = None
        self.endpoint: Endpoint | None = None
        self.pending: list[bytes] = []
        self.pending_bytes = 0
        self.replay = b""
        self.replay_safe = False
        self.attempts = 0
        self.waiting = False
        self.head_only = False
        self.minor = 1
        self.upgrade = False
        self.overridden = False
        self.close_downstream = False
        self.dechunk = False
        self.head_sent = False
        self.status = 0
        self.first_byte_ns = 0
        self.body_bytes = 0
        self.response_bytes = 0
        self.total_at = 0
        self.request_id = b""

    # The request on its way up.

    def begin(self, message: bytes, *, complete: bool) -> None:
        """Send the rewritten head (and what came of the body with it) to an endpoint of the arm."""
        worker = self.worker
        arm = self.arm
        self.state = step(self.state, Event.ASSIGN_COMPLETE if complete else Event.ASSIGN)
        if not self.overridden:
            worker.cells[arm.base + counters.STARTED] += 1
        if arm.total:
            self.total_at = worker.wheel.now + arm.total + 1
        if complete:
            self.replay = message
        self.pending.append(message)
        self.pending_bytes = len(message)
        self._attempt(None)

    def request_data(self, data: bytes) -> None:
        """Pass on a piece of the request body."""
        self.body_bytes += len(data)
        connection = self.connection
        if connection is not None:
            connection.write(data)
            return
        self.pending.append(data)
        self.pending_bytes += len(data)
        if self.pending_bytes > PENDING_BYTES_MAX:
            self.downstream.valve.hold(CONNECTING)

    def request_end(self) -> None:
        """The last byte of the request was handed over."""
        self.state = step(self.state, Event.REQUEST_END)
        if self.state == State.AWAITING:
            self.wait(self.arm.first_byte)

    def _attempt(self, avoid: Endpoint | None) -> None:
        """Ask an endpoint for a connection; ``avoid`` is the one that has just failed."""
        worker = self.worker
        self.attempts += 1
        worker.cells[self.arm.base + counters.ATTEMPTS] += 1
        endpoint = self.arm.pick(avoid)
        pool = endpoint.pool
        assert pool is not None
        self.endpoint = endpoint
        endpoint.in_flight += 1
        connection = pool.take()
        if connection is not None:
            worker.cells[counters.UPSTREAM_CONNECTIONS_REUSED] += 1
            self.connected(connection)
        elif not pool.enqueue(self):
            self.fault(SHED)
        else:
            self.waiting = True
            self.wait(self.arm.connect)

    def connected(self, connection: UpstreamConnection) -> None:
        """A connection is ours: hand it what is there of the request."""
        self.waiting = False
        connection.relay = self
        connection.start_response()
        self.connection = connection
        pending = self.pending
        self.pending = []
        self.pending_bytes = 0
        self.state = step(self.state, Event.CONNECTED)
        for piece in pending:
            connection.write(piece)
        if self.state == State.AWAITING:
            self.wait(self.arm.first_byte)
        else:
            # Until its end the request is the client's to deliver.
            self.wait(self.arm.body_idle)
            self.downstream.valve.release(CONNECTING)

    def connect_failed(self, fault: Fault) -> None:
        """No connection came, so no byte of the request reached anybody: another endpoint may be asked."""
        self.waiting = False
        failed = self.endpoint
        self._leave_endpoint()
        if self.attempts < self.arm.attempts_max and self.state in (
            State.CONNECTING,
            State.CONNECTING_COMPLETE,
        ):
            self.state = step(self.state, Event.RETRY)
            self._count_retry()
            self._attempt(failed)
            return
        self.fault(fault)

    def connection_lost(self, *, clean: bool, fresh: bool, any_byte: bool) -> None:
        """The upstream closed (``clean``) or reset the connection while it owed us something.

        ``fresh``: the connection had carried no earlier exchange. ``any_byte``: some of the answer came.
        """
        del clean
        self.connection = None
        if self.head_sent:
            self.fault(STREAM_TRUNCATED)
            return
        # A pooled connection may have been closed by the upstream just before it was used (RFC 9112, section
        # 9.3.1): what may be repeated without harm is repeated on another one.
        if (
            not fresh
            and not any_byte
            and self.replay_safe
            and self.replay
            and self.state == State.AWAITING
            and self.attempts < self.arm.attempts_max + 1
        ):
            self._leave_endpoint()
            self.state = step(self.state, Event.RETRY)
            self.pending.append(self.replay)
            self._count_retry()
            self._attempt(None)
            return
        self.fault(RESET)

    def _count_retry(self) -> None:
        self.worker.cells[self.arm.base + counters.RETRIES] += 1

    # The response on its way down.

    def response_started(self, status: int) -> None:
        """A final response head is about to go downstream."""
        self.status = status
        self.head_sent = True
        self.first_byte_ns = perf_counter_ns()

    def response_follows(self) -> None:
        """The head went out and a body follows."""
        self.state = step(self.state, Event.RESPONSE_HEAD)
        self.wait(self.arm.stream_idle)

    def response_data(self, data: bytes | memoryview) -> None:
        """Pass on a piece of the response body."""
        self.response_bytes += len(data)
        self.downstream.write(data)
        # Each piece moves the idle deadline; that is a store, not a timer.
        self.wait(self.arm.stream_idle)

    def response_end(self, *, reusable: bool) -> None:
        """The last byte of the response went downstream."""
        request_complete = self.state == State.AWAITING or self.state == State.RELAYING
        self.state = step(self.state, Event.RESPONSE_END)
        connection = self.connection
        if connection is not None:
            self.connection = None
            connection.relay = None
            if reusable and request_complete:
                connection.pool.give_back(connection)
            else:
                connection.close()
        self._leave_endpoint()
        if not request_complete:
            self.close_downstream = True
        self.record(outcome_of_status(self.status))
        self.downstream.exchange_done(request_complete=request_complete)

    def switched(self) -> None:
        """A 101 that was asked for went downstream: from now on bytes are passed both ways unread."""
        self.state = step(self.state, Event.SWITCH)
        self.worker.cells[counters.TUNNELS] += 1
        self.worker.cells[counters.TUNNELS_OPEN] += 1
        self.wait(self.arm.stream_idle)

    def tunnel_closed(self) -> None:
        """One side of a tunnel closed for good."""
        self.state = step(self.state, Event.RESPONSE_END)
        self.worker.cells[counters.TUNNELS_OPEN] -= 1
        self._drop_connection(abort=False)
        self.record(Outcome.OK)
        self.downstream.tunnel_done()

    # Ends that nobody wished for.

    def fault(self, fault: Fault) -> None:
        """End the exchange with an error; nothing is ever written into an answer that has begun."""
        if self.state == State.TUNNEL:
            self.tunnel_closed()
            return
        request_complete = self.state in (State.AWAITING, State.CONNECTING_COMPLETE, State.RELAYING)
        self.state = step(self.state, Event.FAULT)
        self._drop_connection(abort=True)
        self.record(fault.outcome)
        if self.head_sent:
            self.downstream.abort()
        else:
            self.downstream.answer_fault(fault, request_complete=request_complete)

    def client_gone(self) -> None:
        """Downstream is gone: cancel the work upstream at once, and blame no arm."""
        if self.state == State.TUNNEL:
            self.worker.cells[counters.TUNNELS_OPEN] -= 1
            self.state = step(self.state, Event.CLIENT_GONE)
            self._drop_connection(abort=False)
            self.record(Outcome.OK)
            return
        self.state = step(self.state, Event.CLIENT_GONE)
        self._drop_connection(abort=True)
        self.record(Outcome.CLIENT_ABORT)

    def expired(self) -> None:
        """The deadline that was set last has passed."""
        state = self.state
        if self.total_at and self.worker.wheel.now >= self.total_at:
            self.fault(TIMEOUT_TOTAL)
        elif state in (State.CONNECTING, State.CONNECTING_COMPLETE):
            self.fault(TIMEOUT_CONNECT)
        elif state == State.AWAITING:
            self.fault(TIMEOUT_FIRST_BYTE)
        elif state == State.SENDING:
            if self.downstream.valve.holders & PEER_FULL:
                # The client would send, but the upstream takes nothing.
                self.fault(TIMEOUT_FIRST_BYTE)
            else:
                self.downstream.body_timed_out()
        elif state == State.TUNNEL:
            self.tunnel_closed()
        elif self.connection is not None and self.connection.valve.holders & PEER_FULL:
            # The upstream would send, but the client takes nothing: it has left in all but name.
            downstream = self.downstream
            self.client_gone()
            downstream.abort()
        else:
            self.fault(TIMEOUT_IDLE)

    # Book-keeping.

    def wait(self, duration: int) -> None:
        """Give the current phase ``duration`` ticks (0: no limit), never past the end of the total time."""
        wheel = self.worker.wheel
        deadline = wheel.now + duration + 1 if duration else NEVER
        total_at = self.total_at
        if total_at and (not deadline or total_at < deadline):
            deadline = total_at
        wheel.set_at(self.downstream, deadline)

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

    def record(self, outcome: int) -> None:
        """Count the exchange: once, under the arm that was chosen first, as its client saw it."""
        worker = self.worker
        cells = worker.cells
        arm = self.arm
        base = arm.base
        failed = False
        if self.overridden:
            # Overrides stay out of every statistic, so they are counted as started only here.
            cells[base + counters.STARTED] += 1
            outcome = Outcome.OVERRIDE
        else:
            failed = arm.failure[outcome]
        cells[base + counters.OUTCOME_0 + outcome] += 1
        if self.body_bytes:
            cells[base + counters.BYTES_IN] += self.body_bytes
        if self.response_bytes:
            cells[base + counters.BYTES_OUT] += self.response_bytes
        if failed:
            cells[base + counters.FAILED] += 1
        elif outcome == Outcome.OK or (outcome <= Outcome.UPSTREAM_5XX and not self.overridden):
            total_us = (perf_counter_ns() - self.started_ns) // 1000
            first_us = (self.first_byte_ns - self.started_ns) // 1000
            cells[base + counters.SUM_TOTAL_US] += total_us
            cells[base + counters.SUM_FIRST_BYTE_US] += first_us
            cells[base + counters.HIST_TOTAL + bucket_index(total_us)] += 1
            cells[base + counters.HIST_FIRST_BYTE + bucket_index(first_us)] += 1
        if arm.guard is not None and not self.overridden and outcome != Outcome.CLIENT_ABORT:
            arm.guard.note(base, failed=failed)
        cells[base + counters.FINISHED] += 1
