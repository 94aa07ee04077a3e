"""What has been counted of each event so far: of how many requests it is asked, and of how many it is
true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np

from control.evidence import ArmCounts, Counts
from control.stats.events import FAILURE, LATENCIES, STREAM_LATENCIES, Event, Source
from control.stats.latency import threshold
from proxy.metric_counts import FIRST_BUCKET, VALUES
from proxy.outcomes import Outcome

# Requests that ran into a deadline are slow, whatever the threshold.
_OVERDUE: Final[Mapping[Source, tuple[Outcome, ...]]] = {
    Source.TOTAL: (Outcome.TIMEOUT_FIRST_BYTE, Outcome.TIMEOUT_IDLE, Outcome.TIMEOUT_TOTAL),
    Source.FIRST_BYTE: (Outcome.TIMEOUT_FIRST_BYTE,),
}
# Latencies that every success has; those of streams, few requests may have.
_OF_ALL: Final = tuple(source for source in LATENCIES if source not in STREAM_LATENCIES)


class Counted(NamedTuple):
    """Cumulative figures of one event in a stage, canary first."""

    x: tuple[int, int]
    """Requests with the event."""
    n: tuple[int, int] | None = None
    """Requests that could have it, where these are others than all that can fail."""


def counted(
    events: Iterable[Event], thresholds: Mapping[str, int], canary: ArmCounts, control: ArmCounts
) -> dict[str, Counted]:
    """By the key of the event, without those that nobody counts or whose threshold is not known yet."""
    found = {FAILURE.key: Counted((canary.failed, control.failed))}
    sums: dict[tuple[int, int], _Sums | None] = {}
    for event in events:
        if event.threshold:
            bucket = thresholds.get(event.threshold)
            if bucket is None:
                continue
            one = _beyond(event, canary, bucket + event.shift, sums, 0)
            other = _beyond(event, control, bucket, sums, 1)
        elif event.source is Source.FAILURE:
            continue
        elif event.source is Source.SHADOW:
            one = None if canary.pairs is None else (canary.pairs[1], canary.pairs[0])
            # How often the primary disagrees with itself need not be measured.
            other = (0, 0) if control.pairs is None else (control.pairs[1], control.pairs[0])
        else:
            one, other = _plain(event, canary), _plain(event, control)
        if one is not None and other is not None:
            own = None if event.source in _OF_ALL else (one[1], other[1])
            found[event.key] = Counted((one[0], other[0]), own)
    return found


def new_threshold(event: Event, control: ArmCounts) -> int | None:
    """The bucket at the event's quantile of what control has counted; None when that is too little."""
    counts = histogram(event, control)
    if counts is None:
        return None
    bucket = threshold(counts, event.quantile)
    if bucket is None or not event.below:
        return bucket
    # Under the highest value there is: a threshold that every value meets would tell nothing.
    return min(bucket, int(np.flatnonzero(counts)[-1]) - 1)


def histogram(event: Event, arm: ArmCounts) -> Counts | None:
    """What the event's threshold is a quantile of; None when it is not counted."""
    if event.source is Source.METRIC:
        return None if arm.metrics is None else arm.metrics[event.place, FIRST_BUCKET:]
    return latency_of(event.source, arm)


def latency_of(source: Source, arm: ArmCounts) -> Counts | None:
    """The histogram of a latency; None when it is not counted."""
    match source:
        case Source.TOTAL:
            return arm.total
        case Source.FIRST_TOKEN:
            return arm.first_token
        case Source.TOKEN_TIME:
            return arm.token_time
        case _:
            return arm.first_byte


class _Sums(NamedTuple):
    """A histogram summed up to each bucket, and the requests that are beyond every bucket."""

    upto: list[int]
    overdue: int


def _beyond(
    event: Event, arm: ArmCounts, bucket: int, sums: dict[tuple[int, int], _Sums | None], which: int
) -> tuple[int, int] | None:
    """Requests beyond a threshold, and requests asked."""
    key = (event.histogram, which)
    if key not in sums:
        sums[key] = _summed(event, arm)
    found = sums[key]
    if found is None:
        return None
    upto, overdue = found
    n = upto[-1]
    under = upto[min(bucket, len(upto) - 1)] if bucket >= 0 else 0
    return (under, n) if event.below else (n - under + overdue, n)


def _summed(event: Event, arm: ArmCounts) -> _Sums | None:
    counts = histogram(event, arm)
    if counts is None:
        return None
    overdue = sum(arm.outcomes[outcome] for outcome in _OVERDUE.get(event.source, ()))
    return _Sums(counts.cumsum().tolist(), overdue)


def _plain(event: Event, arm: ArmCounts) -> tuple[int, int] | None:
    """Requests with an event that has no threshold, and requests asked."""
    aborted, overridden = arm.outcomes[Outcome.CLIENT_ABORT], arm.outcomes[Outcome.OVERRIDE]
    match event.source:
        case Source.ABORT:
            return aborted, arm.exposed + aborted
        case Source.RETRY:
            return arm.retries, arm.exposed + aborted
        case Source.OVERRIDE:
            return overridden, arm.started - arm.lost
        case Source.REPORTED if arm.metrics is not None:
            return int(arm.metrics[event.place, VALUES]), arm.answered
        case _:
            return None
