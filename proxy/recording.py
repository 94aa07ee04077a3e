"""The end of an exchange as numbers: one outcome, its times, and what the divert learns from it."""

from __future__ import annotations

import re
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from proxy.outcomes import CLIENT_ABORT, OVERRIDE, UPSTREAM_5XX
from proxy.slot_counts import UNTIMED

if TYPE_CHECKING:
    from proxy.relay import Relay


# The clock of all latencies. Under a name of its own: compiled code looks imported functions up in each call.
clock_ns: Final = perf_counter_ns

# The event that closes a stream of the OpenAI kind, behind it at most the end of its chunk; its clients hang
# up on reading it, before the last chunk comes.
_STREAM_END: Final = re.compile(rb"data: ?\[DONE\][\r\n]*\Z").search


def ends_stream(last: bytes) -> bool:
    """Whether the last bytes of an answer tell its reader that nothing follows."""
    return _STREAM_END(last) is not None


def record(relay: Relay, outcome: int, now_ns: i64) -> None:
    """Count the exchange: once, under the arm that was chosen first, as its client saw it.

    ``now_ns``: when it ended, by the clock of ``started_ns``; only successes are timed.
    """
    arm = relay.arm
    counts = arm.counts
    failed = arm.failure[outcome]
    if relay.extras:
        if relay.look is not None:
            # What was seen of the answer may say that it is not as good as it looked.
            outcome = relay.look.end(outcome)
            failed = arm.failure[outcome]
        if relay.tap is not None:
            relay.tap.end(outcome, now_ns)
        if relay.place and arm.gate is not None:
            arm.gate.leave(relay)
        if relay.overridden:
            # Overrides stay out of every statistic, so they are counted as started only here.
            counts.start(-1)
            counts.end(OVERRIDE, False, relay.body_bytes, relay.response_bytes, UNTIMED, UNTIMED)
            return
    if failed and relay.group >= 0:
        counts.fail_in(relay.group)
    total_us: i64 = UNTIMED
    first_byte_us: i64 = UNTIMED
    if not failed and outcome <= UPSTREAM_5XX:
        started_ns = relay.started_ns
        total_us = (now_ns - started_ns) // 1000
        first_byte_ns = relay.first_byte_ns
        first_byte_us = total_us if first_byte_ns == now_ns else (first_byte_ns - started_ns) // 1000
    counts.end(outcome, failed, relay.body_bytes, relay.response_bytes, total_us, first_byte_us, relay.group)
    guard = arm.guard
    # A success matters to the divert only while there is something to forgive.
    if guard is not None and (failed or counts.score) and outcome != CLIENT_ABORT:
        guard.note(counts, failed=failed)
