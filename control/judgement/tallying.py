"""What has been counted of each event so far: of how many requests it is asked, and of how many it is
true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from control.judgement.evidence import ArmCounts, Counts
from control.stats.events import Event, Source
from control.stats.latency import threshold
from control.stats.layout import Layout
from proxy.metric_counts import FIRST_BUCKET, VALUES
from proxy.outcomes import Outcome

# Requests that ran into a deadline are slow, whatever the threshold.
_OVERDUE: Final[Mapping[Source, tuple[Outcome, ...]]] = {
    Source.TOTAL: (Outcome.TIMEOUT_FIRST_BYTE, Outcome.TIMEOUT_IDLE, Outcome.TIMEOUT_TOTAL),
    Source.FIRST_BYTE: (Outcome.TIMEOUT_FIRST_BYTE,),
}
_UNKNOWN: Final = -(1 << 20)
"""Stands for a threshold that is not known yet."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Counted(NamedTuple):
    """Cumulative figures of the events of a layout in the stages of B rollouts, canary first."""

    x: Ints
    """Requests with the event, shape (B, E, 2)."""
    n: Ints
    """Requests that could have it, where these are others than all that can fail; else 0. Shape (B, E, 2)."""
    known: Bools
    """Whether it is counted by both arms and its threshold is known, shape (B, E)."""

    def rows(self, chosen: Sequence[int]) -> Counted:
        """The figures of some of the rollouts."""
        return Counted(x=self.x[chosen], n=self.n[chosen], known=self.known[chosen])


Arms = tuple[ArmCounts, ArmCounts]


def counted(
    layout: Layout, arms: Sequence[Arms], thresholds: Sequence[Mapping[str, int]], asked: Bools
) -> Counted:
    """The figures of the events that are *asked* for, shape (B, E), of B rollouts with the same layout.

    Args:
        arms: counts of the canary and of control.
        thresholds: buckets by "source:quantile".
    """
    shape = (len(arms), len(layout.events))
    found = Counted(
        np.zeros((*shape, 2), dtype=np.int64),
        np.zeros((*shape, 2), dtype=np.int64),
        np.zeros(shape, np.bool_),
    )
    outcomes = np.array([[arm.judged for arm in pair] for pair in arms], dtype=np.int64)
    by_histogram: dict[int, list[int]] = {}
    for place, event in enumerate(layout.events):
        if not asked[:, place].any():
            continue
        if event.threshold:
            by_histogram.setdefault(event.histogram, []).append(place)
            continue
        for row, (x, n) in enumerate(_plain(event, arms, outcomes)):
            if x is not None:
                found.x[row, place], found.n[row, place], found.known[row, place] = x, n, True
    for places in by_histogram.values():
        _beyond(layout, places, arms, thresholds, outcomes, found)
    found.known[:] &= asked
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


def _beyond(
    layout: Layout,
    places: list[int],
    arms: Sequence[Arms],
    thresholds: Sequence[Mapping[str, int]],
    outcomes: Ints,
    found: Counted,
) -> None:
    """Fill in events that are read from the same histogram: requests beyond a threshold, and those asked.

    Those asked are the ones whose time, or value, is known: each is counted on both sides of the fraction at
    the same moment. Of all that started, the slow ones would be counted later than the rest, and where an
    answer takes longer than a block, how many of either come would have little to do with each other.
    """
    events = [layout.events[place] for place in places]
    histograms = [[histogram(events[0], arm) for arm in pair] for pair in arms]
    # Where nothing is counted the threshold is as good as unknown.
    there = [i for i, (one, other) in enumerate(histograms) if one is not None and other is not None]
    if not there:
        return
    upto = np.array([histograms[i] for i in there], dtype=np.int64).cumsum(axis=2)
    keys = [event.threshold for event in events]
    buckets = np.array([[thresholds[i].get(key, _UNKNOWN) for key in keys] for i in there], dtype=np.int64)
    shifts = np.array([event.shift for event in events])
    at = np.stack((buckets + shifts, buckets), axis=1)
    under = np.take_along_axis(upto, at.clip(0, upto.shape[2] - 1), axis=2)
    under[at < 0] = 0
    timed = upto[:, :, -1:]
    overdue = outcomes[there][:, :, list(_OVERDUE.get(events[0].source, ()))].sum(axis=2)[..., None]
    below = np.array([event.below for event in events])
    rows = np.ix_(there, places)
    found.x[rows] = np.where(below, under, timed - under + overdue).transpose(0, 2, 1)
    found.n[rows] = (timed + overdue).transpose(0, 2, 1)
    found.known[rows] = buckets != _UNKNOWN


def _plain(event: Event, arms: Sequence[Arms], outcomes: Ints) -> list[tuple[Any, Any]]:
    """Requests with an event that has no threshold, and requests asked; None where nobody counts it."""
    aborted = outcomes[:, :, Outcome.CLIENT_ABORT].tolist()
    match event.source:
        case Source.FAILURE:
            return [((one.failed, other.failed), 0) for one, other in arms]
        case Source.SHADOW:
            return [_paired(one, other) for one, other in arms]
        case Source.ABORT:
            return [
                (gone, (one.exposed + gone[0], other.exposed + gone[1]))
                for (one, other), gone in zip(arms, aborted, strict=True)
            ]
        case Source.RETRY:
            return [
                ((one.retries, other.retries), (one.exposed + gone[0], other.exposed + gone[1]))
                for (one, other), gone in zip(arms, aborted, strict=True)
            ]
        case Source.OVERRIDE:
            chosen = outcomes[:, :, Outcome.OVERRIDE].tolist()
            return [
                (mine, (one.started - one.lost, other.started - other.lost))
                for (one, other), mine in zip(arms, chosen, strict=True)
            ]
        case _:
            return [_reported(event.place, one, other) for one, other in arms]


def _paired(canary: ArmCounts, control: ArmCounts) -> tuple[Any, Any]:
    if canary.pairs is None:
        return None, None
    # How often the primary disagrees with itself need not be measured.
    compared, differed = (0, 0) if control.pairs is None else control.pairs
    return (canary.pairs[1], differed), (canary.pairs[0], compared)


def _reported(place: int, canary: ArmCounts, control: ArmCounts) -> tuple[Any, Any]:
    if canary.metrics is None or control.metrics is None:
        return None, None
    values = (int(canary.metrics[place, VALUES]), int(control.metrics[place, VALUES]))
    return values, (canary.answered, control.answered)
