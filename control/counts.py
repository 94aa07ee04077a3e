"""The counts of one arm as one vector, so that boots, nodes and stages add cell by cell."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from proxy.histogram import BUCKETS, BUCKETS_PER_DOUBLING, bucket_upper_edge
from proxy.outcomes import OUTCOMES, Outcome

SCALARS: Final = (
    "started",
    "finished",
    "failed",
    "diverted",
    "probes",
    "attempts",
    "retries",
    "bytes_in",
    "bytes_out",
    "sum_total_us",
    "sum_first_byte_us",
    "lost",
)
"""What is one number an arm, by its place in the vector and its name on the link."""

_OUTCOMES_AT: Final = len(SCALARS)
_TOTAL_AT: Final = _OUTCOMES_AT + OUTCOMES
_FIRST_BYTE_AT: Final = _TOTAL_AT + BUCKETS
CELLS: Final = _FIRST_BYTE_AT + BUCKETS

Cells = npt.NDArray[np.int64]


class ArmKey(NamedTuple):
    """What is counted apart: one variant in one role on one route, for as long as the weights stay."""

    route: str
    variant: str
    role: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counts:
    """Cumulative counts; `cells` (int64, `CELLS` long) is never changed in place."""

    cells: Cells

    @property
    def started(self) -> int:
        return int(self.cells[0])

    @property
    def finished(self) -> int:
        return int(self.cells[1])

    @property
    def failed(self) -> int:
        return int(self.cells[2])

    def scalar(self, name: str) -> int:
        """One of `SCALARS`."""
        return int(self.cells[SCALARS.index(name)])

    @property
    def outcomes(self) -> tuple[int, ...]:
        """How many requests ended how, by `Outcome`."""
        return tuple(int(cell) for cell in self.cells[_OUTCOMES_AT:_TOTAL_AT])

    @property
    def routed(self) -> int:
        """Requests that the split sent here; those whose client named the variant are not among them."""
        return self.started - int(self.cells[_OUTCOMES_AT + Outcome.OVERRIDE])

    @property
    def total(self) -> Cells:
        """Histogram of whole-exchange latencies of successes."""
        return self.cells[_TOTAL_AT:_FIRST_BYTE_AT]

    @property
    def first_byte(self) -> Cells:
        """Histogram of time to first byte of successes."""
        return self.cells[_FIRST_BYTE_AT:]

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(cells=self.cells + other.cells)

    def since(self, earlier: "Counts") -> "Counts":
        """What was counted after *earlier*; never negative."""
        return Counts(cells=np.maximum(self.cells - earlier.cells, 0))

    def dumps(self) -> str:
        """Compact JSON; histograms list their filled buckets only."""
        value = {
            "scalars": self.cells[:_OUTCOMES_AT].tolist(),
            "outcomes": self.cells[_OUTCOMES_AT:_TOTAL_AT].tolist(),
            "total": _sparse(self.total),
            "first_byte": _sparse(self.first_byte),
        }
        return orjson.dumps(value).decode()


def loads_counts(text: str) -> Counts:
    """What `Counts.dumps` wrote; fields that did not exist then are zero."""
    value: dict[str, Any] = orjson.loads(text)
    cells = np.zeros(CELLS, dtype=np.int64)
    cells[: len(value["scalars"])] = value["scalars"]
    cells[_OUTCOMES_AT : _OUTCOMES_AT + len(value["outcomes"])] = value["outcomes"]
    for at, name in ((_TOTAL_AT, "total"), (_FIRST_BYTE_AT, "first_byte")):
        for bucket, count in value[name]:
            cells[at + bucket] = count
    return Counts(cells=cells)


def make_counts(
    scalars: dict[str, int],
    outcomes: list[int],
    total: list[tuple[int, int]],
    first_byte: list[tuple[int, int]],
) -> Counts:
    """Counts from checked numbers; buckets are (index, count), an index that comes twice adds up."""
    cells = np.zeros(CELLS, dtype=np.int64)
    for place, name in enumerate(SCALARS):
        cells[place] = scalars.get(name, 0)
    cells[_OUTCOMES_AT:_TOTAL_AT] = outcomes
    for at, buckets in ((_TOTAL_AT, total), (_FIRST_BYTE_AT, first_byte)):
        for bucket, count in buckets:
            cells[at + bucket] += count
    return Counts(cells=cells)


NOTHING: Final = Counts(cells=np.zeros(CELLS, dtype=np.int64))
"""Counts before the first request."""


def quantile_seconds(histogram: Cells, probability: float) -> float | None:
    """The latency that *probability* of the requests stayed below, or None when there was none.

    The middle of its bucket on the logarithmic scale, so at most 2.2 % off.
    """
    count = int(histogram.sum())
    if count == 0:
        return None
    bucket = int(np.searchsorted(np.cumsum(histogram), probability * count, side="left"))
    middle = 2 ** (-0.5 / BUCKETS_PER_DOUBLING)
    return bucket_upper_edge(min(bucket, BUCKETS - 1)) * float(middle)


def _sparse(histogram: Cells) -> list[list[int]]:
    filled = np.flatnonzero(histogram)
    return [[int(bucket), int(histogram[bucket])] for bucket in filled]
