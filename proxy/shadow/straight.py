"""The straight way of a copy: of an ordinary request, on an idle connection, with an answer nobody compares.

Like `proxy.straight`, and for the same reason: each function does what the functions that it names do for any
copy, in the same order, as one piece of code, and leaves to them what is out of the ordinary. Such a copy has
no tap: how the primary's exchange ends means nothing to it.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from proxy.counters import STARTED
from proxy.shadow import cells
from proxy.shadow.cells import size_class
from proxy.shadow.tap import COLLECTING, GONE, PAIRABLE, SENT, Copy, Tap
from proxy.timers import NEVER

if TYPE_CHECKING:
    from proxy.relay import Relay
    from proxy.shadow.connection import ShadowConnection
    from proxy.shadow.mirror import Mirror
    from proxy.wire.head import RequestHead

clock_ns: Final = perf_counter_ns

# Of `proxy.shadow.cells`: literals, because compiled code looks up anything else by its name.
ELIGIBLE: Final = 1408
MIRRORED_0: Final = 1411
UNPAIRED_0: Final = 1472  # its first reason is SAMPLED_OUT
SAMPLED_OUT: Final = 0
assert cells.ELIGIBLE == ELIGIBLE
assert cells.MIRRORED_0 == MIRRORED_0
assert cells.UNPAIRED_0 == UNPAIRED_0
assert list(cells.Unpaired)[SAMPLED_OUT].name == "SAMPLED_OUT"
# Of bodies in the first class of sizes.
SMALL_BYTES_MAX: Final = 1024
# Of `proxy.shadow.connection`.
IDLE: Final = 0
HEAD: Final = 1
# Copies kept to be used again: making one costs as much as sending it.
SPARE_MAX: Final = 64


def offer(
    relay: Relay, mirrors: list[Mirror], head: RequestHead, data: bytes, end: i64, message: bytes
) -> None:
    """Copy an ordinary request that came whole and was written to the primary as ``message``.

    In place of `tap_for`, `Mirror.takes`, `Tap.begin` and `Shadows.offer`.
    """
    arm = relay.arm.arm.index
    size = len(message)
    body = relay.body_bytes
    tap: Tap | None = None
    for mirror in mirrors:
        shadows = mirror.shadows
        if (
            arm in mirror.reference
            and (not mirror.methods or head.method in mirror.methods)
            and mirror.share >= 1.0
            and not shadows.late > mirror.lag > 0.0
            and body <= mirror.body_max
            and mirror.in_flight < mirror.in_flight_max
        ):
            counts = mirror.counts
            counts.values[0] = count = counts.values[0] + 1
            counts.cells[counts.base + ELIGIBLE] = count
        elif not mirror.takes(arm, head, data, end, relay.downstream.client, False):
            continue
        unpaired = mirror.pairing() if mirror.compare_share > 0.0 else SAMPLED_OUT
        memory = mirror.memory + size
        if unpaired == PAIRABLE or not mirror.plain or head.marked or memory > mirror.memory_max:
            if tap is None:
                tap = Tap(head)
            tap.add(mirror, unpaired)
            continue
        spare = mirror.spare
        if spare:
            copy = spare.pop()
            copy.counts = mirror.counts
            copy.state = COLLECTING
        else:
            copy = Copy(mirror, None, SAMPLED_OUT)
        mirror.memory = memory
        copy.held = size
        copy.body_bytes = body
        copy.message = message
        if not mirror.ready:
            if not (shadows.ready or shadows.outbox):
                shadows.worker.loop.call_soon(shadows.send_soon)
            shadows.ready.append(mirror)
        mirror.ready.append(copy)
    if tap is not None:
        relay.tap = tap
        tap.id_line = relay.id_line
        tap.begin(message, body, whole=True)


def send(mirror: Mirror, now_ns: int) -> None:
    """Send what was offered in the last turn, begun at ``now_ns``.

    In place of `Mirror.send`, `Lane.send` and `ShadowConnection.serve`.
    """
    copies = mirror.ready
    mirror.ready = []
    lane = mirror.only
    if lane is None or lane.paused_until:
        for copy in copies:
            copy.started_ns = now_ns
            mirror.send(copy)
        return
    idle = lane.idle
    marker = mirror.marker
    counts = copies[0].counts
    wheel = mirror.shadows.wheel
    deadline = wheel.now + mirror.deadline + 1
    started = small = 0
    for copy in copies:
        copy.started_ns = now_ns
        if (
            not idle
            or mirror.in_flight >= mirror.in_flight_max
            # One that was lost a moment ago has not been told yet.
            or idle[-1].transport.is_closing()
            or copy.counts is not counts
        ):
            mirror.send(copy)
            continue
        connection = idle.pop()
        mirror.in_flight += 1
        started += 1
        body = copy.body_bytes
        if body <= SMALL_BYTES_MAX:
            small += 1
        else:
            counts.add(MIRRORED_0 + size_class(body))
        copy.state = SENT
        connection.copy = copy
        connection.state = HEAD
        if NEVER < connection.placed <= deadline:
            connection.deadline = deadline
        else:
            wheel.set_at(connection, deadline)
        message = copy.message
        copy.message = b""
        head_end = len(message) - body - 2
        connection.write(b"".join((message[:head_end], marker, message[head_end:])))
    # The bytes go out when this turn of the loop is over.
    counts.values[MIRRORED_0 - ELIGIBLE] = count = counts.values[MIRRORED_0 - ELIGIBLE] + small
    counts.cells[counts.base + MIRRORED_0] = count
    slot = counts.slot
    slot.started = count = slot.started + started
    slot.cells[slot.base + STARTED] = count


def answer(connection: ShadowConnection, copy: Copy, data: bytes) -> bool:
    """Count a copy answered by ``data``; False unless that is the whole answer, with the head of the last.

    In place of `ShadowConnection._on_head`, `Lane.give_back`, `Mirror.ended` and `Mirror.settle`.
    """
    lane = connection.lane
    mirror = copy.mirror
    idle = lane.idle
    if (
        len(data) != lane.known_bytes
        or not data.startswith(lane.known)
        or connection.buffer
        or len(idle) >= mirror.in_flight_max
    ):
        return False
    now_ns = clock_ns()
    shadows = mirror.shadows
    connection.copy = None
    connection.state = IDLE
    idle.append(connection)
    wheel = shadows.wheel
    duration = shadows.worker.live.upstream_idle
    deadline = wheel.now + duration + 1 if duration else NEVER
    if NEVER < connection.placed <= deadline:
        connection.deadline = deadline
    else:
        wheel.set_at(connection, deadline)
    copy.state = GONE
    mirror.in_flight -= 1
    mirror.memory -= copy.held
    counts = copy.counts
    counts.slot.succeed(0, 0, (now_ns - copy.started_ns) // 1000)
    body = copy.body_bytes
    place = UNPAIRED_0 if body <= SMALL_BYTES_MAX else UNPAIRED_0 + size_class(body)
    counts.values[place - ELIGIBLE] = count = counts.values[place - ELIGIBLE] + 1
    counts.cells[counts.base + place] = count
    if len(mirror.spare) < SPARE_MAX:
        mirror.spare.append(copy)
    return True
