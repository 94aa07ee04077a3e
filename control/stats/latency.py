"""Latency from histogram counts: thresholds from earlier data, and how many requests were slower.

A latency guardrail asks the question of the error guardrail, with "slower than a threshold" for "failed". The
thresholds are control's own quantiles in data that was seen before the requests that are judged, so they are
fixed numbers as far as those requests are concerned.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from control.stats.sequences import quantile_bounds
from proxy.histogram import BUCKETS, BUCKETS_PER_DOUBLING, bucket_upper_edge

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

UPPER_EDGES: Final[Floats] = np.array([bucket_upper_edge(i) for i in range(BUCKETS)])
"""Upper edge of each bucket in seconds, shape (361,)."""

# Half a bucket below its upper edge in logarithms: what a request in it is reported as.
_HALF_BUCKET: Final = 2.0 ** (-0.5 / BUCKETS_PER_DOUBLING)

# A threshold at quantile q is worth taking when this many requests are expected beyond it.
BEYOND_MIN: Final = 5


def quantile(counts: Counts, q: float) -> float | None:
    """The q-quantile in seconds, at most 2.2 % off; None without data."""
    n = int(counts.sum())
    if n == 0:
        return None
    bucket = int(np.searchsorted(np.cumsum(counts), q * n, side="left"))
    return float(UPPER_EDGES[min(bucket, BUCKETS - 1)] * _HALF_BUCKET)


def threshold_requests(q: float) -> int:
    """How many requests it takes until a threshold at quantile q is worth taking."""
    return math.ceil(round(BEYOND_MIN / min(q, 1.0 - q), 6))


def threshold(counts: Counts, q: float) -> int | None:
    """The bucket whose upper edge is nearest to the q-quantile; None when the data is too little for it."""
    n = int(counts.sum())
    if n < threshold_requests(q):
        return None
    below = np.cumsum(counts) / n
    upper = int(np.searchsorted(below, q, side="left"))
    if upper > 0 and q - below[upper - 1] < below[upper] - q:
        return upper - 1
    return min(upper, BUCKETS - 1)


def slower(counts: Counts, bucket: int) -> int:
    """Requests above the upper edge of a bucket."""
    return int(counts[bucket + 1 :].sum())


def quantile_name(q: float) -> str:
    """How a quantile is written: p50, p99.9."""
    return f"p{q * 100:g}"


def shift(factor: float) -> int:
    """By how many buckets a threshold moves when latency may be `factor` times as long."""
    return round(math.log2(factor) * BUCKETS_PER_DOUBLING)


def summary(counts: Counts, quantiles: Floats, alpha: float) -> list[list[float | None]]:
    """[value, low, high] in seconds for each quantile; the interval holds at every look."""
    below = np.cumsum(counts)
    if below[-1] == 0:
        return [[None, None, None] for _ in quantiles]
    buckets = np.minimum(np.searchsorted(below, quantiles * below[-1], side="left"), BUCKETS - 1)
    bounds = quantile_bounds(counts, quantiles, alpha)
    lows = np.where(bounds[:, 0] > 0, UPPER_EDGES[bounds[:, 0] - 1], 0.0)
    found: list[list[float | None]] = np.stack(
        (UPPER_EDGES[buckets] * _HALF_BUCKET, lows, UPPER_EDGES[bounds[:, 1]]), axis=1
    ).tolist()
    return found
