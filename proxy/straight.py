"""The straight way: an ordinary request that came whole, whose ordinary answer comes whole.

Nearly every request goes it. Each function does what the functions that it names do for any exchange, as one
piece of code: interpreted, a call costs as much as ten additions. The order is the same, but that `send`
writes first and notes down afterwards, while the upstream is at work. Whatever is out of the ordinary is left
to them: a function that returns False has changed nothing, and its caller goes on as if it had not asked.
tests/proxy/test_straight.py compares the two ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from proxy.client import WAIT
from proxy.ejection import recover
from proxy.exchange import AWAITING, CONNECTING_COMPLETE, DONE
from proxy.flow import VIEW_BYTES_MIN
from proxy.outcomes import OK
from proxy.recording import clock_ns
from proxy.relay import Relay
from proxy.retrying import REPLAY_BYTES_MAX
from proxy.shadow.straight import offer
from proxy.shadow.tap import tap_for
from proxy.timers import NEVER
from proxy.wire.rewrite import cut

if TYPE_CHECKING:
    from proxy.downstream import Downstream
    from proxy.live import LiveArm
    from proxy.upstream import UpstreamConnection
    from proxy.wire.head import RequestHead, ResponseHead

# Of statuses that say no more than that all is well.
ORDINARY_MIN: Final = 200
ORDINARY_BELOW: Final = 400


def send(
    downstream: Downstream, arm: LiveArm, head: RequestHead, data: bytes, end: i64, ns: i64, group: int
) -> bool:
    """Send the request ``data``, whose head is ordinary, to an arm that is not special; False if not whole.

    In place of `Downstream._open`, `outbound.request_message`, `Relay.begin` and `Relay.ask`.
    """
    body: i64 = len(data) - end - 2
    length: i64 = head.content_length
    worker = downstream.worker
    if worker.overload or (body != length and (body > 0 or length > 0)):
        return False
    forwarding = worker.live.forwarding
    added = downstream.client_lines.lines(forwarding, head.host, False, False)
    prefix = forwarding.request_id_prefix
    id_line = b""
    if prefix:
        id_line = worker.request_ids.line(prefix)
        added += id_line
    # A body too large to be sent again is not copied either: it goes out from where it lies.
    large = len(data) > REPLAY_BYTES_MAX and arm.mirrors is None
    rest = data[end : end + 2] if large else data[end:]
    cuts = head.cuts
    if cuts:
        message = b"".join((data[: cuts[0]], data[cuts[1] : end], added, rest))
    else:
        message = b"".join((data[:end], added, rest))
    endpoint = arm.only
    if endpoint is None:
        endpoint = arm.pick(None, 0)
    pool = endpoint.pool
    assert pool is not None
    connection: UpstreamConnection | None = None
    if pool.idle and not pool.waiters:
        # On its way before anything is noted about it: nobody hears of it before this has returned.
        connection = pool.idle.pop()
        if large:
            connection.transport.writelines((message, memoryview(data)[end + 2 :]))
        else:
            connection.write(message)
    relay = Relay(worker, downstream, arm, head, ns, False, group)
    relay.ordinary = True
    relay.body_bytes = body
    relay.id_line = id_line
    if not large and len(message) <= REPLAY_BYTES_MAX:
        relay.replay = message
    downstream.relay = relay
    downstream.state = WAIT
    counts = arm.counts
    counts.start(group)
    mirrors = arm.mirrors
    if connection is None:
        relay.state = CONNECTING_COMPLETE
        if mirrors is not None:
            relay.tap = tap_for(mirrors, arm.arm.index, head, data, end, downstream.client, False)
        relay.ask(endpoint, message + data[end + 2 :] if large else message, fresh=False)
        if relay.tap is not None:
            relay.tap.id_line = relay.id_line
            relay.tap.begin(message, body, whole=True)
        return True
    relay.attempts = 1
    counts.attempt()
    relay.endpoint = endpoint
    endpoint.requests += 1
    endpoint.in_flight += 1
    relay.connection = connection
    # Its deadline as an idle one may pass meanwhile: that of a connection in use means nothing.
    connection.serve(relay)
    worker.reused += 1
    relay.state = AWAITING
    wheel = worker.wheel
    duration = arm.first_byte
    deadline = wheel.now + duration + 1 if duration else NEVER
    if NEVER < downstream.placed <= deadline:
        downstream.deadline = deadline
    else:
        wheel.set_at(downstream, deadline)
    if mirrors is not None:
        offer(relay, mirrors, head, data, end, message)
    return True


def answer(connection: UpstreamConnection, relay: Relay, head: ResponseHead, data: bytes, end: i64) -> bool:
    """Pass on ``data``, the first piece of an answer; False unless it is all of it, and ordinary.

    In place of `UpstreamConnection._final_head`, `Relay.response_end`, `recording.record` and
    `Downstream.exchange_done`.
    """
    body: i64 = len(data) - end - 2
    status: i64 = head.status
    downstream = relay.downstream
    worker = downstream.worker
    if (
        body != head.content_length
        or status >= ORDINARY_BELOW
        or status < ORDINARY_MIN
        or not head.keep_alive
        or head.minor != 1
        or downstream.buffer
        or downstream.valve.holders
        or worker.draining
        or worker.ending
    ):
        return False
    arm = relay.arm
    cuts = head.cuts
    now_ns: i64 = clock_ns()
    kept = cut(data, 0, end, cuts) if cuts else data[:end]
    if body > VIEW_BYTES_MIN:
        shown = b"".join((kept, arm.response_lines, relay.id_line))
        downstream.transport.writelines((shown, memoryview(data)[end:]))
    else:
        downstream.write(b"".join((kept, arm.response_lines, relay.id_line, data[end:])))
    tap = relay.tap
    if tap is not None:
        tap.answered(data, end, status, len(data))
        tap.end(OK, now_ns)
    relay.state = DONE
    relay.connection = None
    connection.relay = None
    connection.pool.give_back(connection)
    endpoint = relay.endpoint
    if endpoint is not None:
        relay.endpoint = None
        endpoint.in_flight -= 1
        if endpoint.failures:
            recover(endpoint)
    counts = arm.counts
    counts.succeed(relay.body_bytes, body, (now_ns - relay.started_ns) // 1000, relay.group)
    if counts.score and arm.guard is not None:
        arm.guard.note(counts, failed=False)
    downstream.ready()
    return True
