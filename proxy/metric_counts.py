"""How values of a custom metric are counted: how many, their sum, their squares, and a bounded histogram.

A metric has a range; values outside count as its ends. The range is cut into 124 buckets, of equal width or
of equal ratio. Sums are kept of the place u in [0, 1] that a value has in the range, in units of 2**-32, so
that whole numbers add up over workers and nodes without rounding, and a billion values fit into 64 bits.

Cells of a metric: how many values, sum of u, sum of u**2, answers without a readable value, then the buckets.
"""

from __future__ import annotations

import math
from typing import Final

from proxy.counters import METRIC_CELLS

VALUES: Final = 0
SUM: Final = 1
SQUARES: Final = 2
UNREADABLE: Final = 3
FIRST_BUCKET: Final = 4
METRIC_BUCKETS: Final = METRIC_CELLS - FIRST_BUCKET
UNIT: Final = 2**32


class MetricScale:
    """The range of a metric, and where values lie in it."""

    __slots__ = ("_logs", "high", "log", "low")

    def __init__(self, low: float, high: float, *, log: bool) -> None:
        """A range from `low` to `high`; with `log`, which needs `low` above 0, buckets of equal ratio.

        Raises:
            ValueError: the range is empty, or not finite.
        """
        if not (math.isfinite(low) and math.isfinite(high) and low < high and math.isfinite(high - low)):
            raise ValueError(f"{low:g} to {high:g} is not a range")
        if log and low <= 0:
            raise ValueError(f"a logarithmic scale cannot begin at {low:g}")
        self.low = low
        self.high = high
        self.log = log
        self._logs = math.log(high / low) if log else 0.0

    def bucket(self, value: float) -> int:
        """The bucket of a value, 0 to 123; both ends are open."""
        if value <= self.low:
            return 0
        if value >= self.high:
            return METRIC_BUCKETS - 1
        share = math.log(value / self.low) / self._logs if self.log else self.place(value)
        return min(METRIC_BUCKETS - 1, int(share * METRIC_BUCKETS))

    def edge(self, bucket: int) -> float:
        """The upper edge of a bucket; of -1, the lower end of the range."""
        share = (bucket + 1) / METRIC_BUCKETS
        return (
            self.low * math.exp(share * self._logs) if self.log else self.low + share * (self.high - self.low)
        )

    def place(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def shift(self, tolerance: float) -> int:
        """By how many buckets a tolerance moves a threshold: in the metric's unit, with `log` as a share."""
        share = math.log1p(tolerance) / self._logs if self.log else tolerance / (self.high - self.low)
        return round(share * METRIC_BUCKETS)


def count_value(cells: memoryview, base: int, scale: MetricScale, value: float) -> None:
    """Add a finite value to the metric whose cells begin at `base`."""
    place = scale.place(value)
    cells[base + VALUES] += 1
    cells[base + SUM] += int(place * UNIT)
    cells[base + SQUARES] += int(place * place * UNIT)
    cells[base + FIRST_BUCKET + scale.bucket(value)] += 1
