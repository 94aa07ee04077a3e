"""What /metrics says about streams of tokens; nothing about arms whose streams nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from proxy import counters
from proxy.counts import ArmCounts
from proxy.families import arm_counter, arm_histogram, cell_reader
from proxy.tally import Labels

COUNTERS: Final[tuple[tuple[str, str, int], ...]] = (
    ("streams", "Event streams that were looked at.", counters.STREAMS),
    ("streams_unread", "Event streams that are compressed or of another format.", counters.STREAMS_UNREAD),
    (
        "streams_stalled",
        "Event streams with a pause between tokens longer than streams.stall.",
        counters.STREAMS_STALLED,
    ),
    (
        "streams_truncated",
        "Event streams that ended without [DONE] or a finish_reason, although the client stayed.",
        counters.STREAMS_TRUNCATED,
    ),
    ("streams_broken", "Event streams with an error inside.", counters.STREAMS_BROKEN),
    (
        "stream_tokens",
        "Tokens of streams; pieces of content where the server does not say how many tokens.",
        counters.STREAM_TOKENS,
    ),
)


def stream_families(totals: dict[Labels, ArmCounts]) -> Iterator[Metric]:
    """Every family about streams, of the arms that have sent any."""
    streamed = {labels: counts for labels, counts in totals.items() if counts.cells[counters.STREAMS]}
    for name, text, cell in COUNTERS:
        yield arm_counter(name, text, streamed, cell_reader(cell))
    yield arm_histogram(
        "first_token_seconds",
        "From the first byte of a request to the first token of its stream.",
        {labels: (c.first_token, c.cells[counters.SUM_FIRST_TOKEN_US]) for labels, c in streamed.items()},
    )
    yield arm_histogram(
        "token_gap_seconds",
        "Between two tokens of a stream.",
        {labels: (c.token_gap, c.cells[counters.SUM_TOKEN_GAP_US]) for labels, c in streamed.items()},
    )
    yield arm_histogram(
        "token_time_seconds",
        "For a token behind the first, on the average of a stream, successes only.",
        {labels: (c.token_time, c.cells[counters.SUM_TOKEN_TIME_US]) for labels, c in streamed.items()},
    )
