"""The counts of one arm as one vector, so that boots, nodes and stages add cell by cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from proxy.counters import GROUPS, METRIC_CELLS, METRICS_MAX, TIME_CLASSES
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
    # Of streams of tokens, where a route looks at them.
    "streams",
    "streams_unread",
    "streams_stalled",
    "streams_truncated",
    "streams_broken",
    "stream_tokens",
    "sum_first_token_us",
    "sum_token_gap_us",
    "sum_token_time_us",
)
"""What is one number an arm, by its place in the vector and its name on the link."""

_OUTCOMES_AT: Final = len(SCALARS)
_TOTAL_AT: Final = _OUTCOMES_AT + OUTCOMES
_FIRST_BYTE_AT: Final = _TOTAL_AT + BUCKETS
_GROUPS_AT: Final = _FIRST_BYTE_AT + BUCKETS
GROUP_CELLS: Final = 2 * GROUPS
_GROUP_TIMES_AT: Final = _GROUPS_AT + GROUP_CELLS
GROUP_TIMES_CELLS: Final = TIME_CLASSES * GROUPS
_METRICS_AT: Final = _GROUP_TIMES_AT + GROUP_TIMES_CELLS
METRICS_CELLS: Final = METRICS_MAX * METRIC_CELLS
_FIRST_TOKEN_AT: Final = _METRICS_AT + METRICS_CELLS
_TOKEN_GAP_AT: Final = _FIRST_TOKEN_AT + BUCKETS
_TOKEN_TIME_AT: Final = _TOKEN_GAP_AT + BUCKETS
_ASIDE_AT: Final = _TOKEN_TIME_AT + BUCKETS
ASIDE_CELLS: Final = 2 * OUTCOMES
CELLS: Final = _ASIDE_AT + ASIDE_CELLS

_SPARSE: Final = {
    "total": _TOTAL_AT,
    "first_byte": _FIRST_BYTE_AT,
    "groups": _GROUPS_AT,
    "group_times": _GROUP_TIMES_AT,
    "metrics": _METRICS_AT,
    "first_token": _FIRST_TOKEN_AT,
    "token_gap": _TOKEN_GAP_AT,
    "token_time": _TOKEN_TIME_AT,
    "aside": _ASIDE_AT,
}

Cells = npt.NDArray[np.int64]
Pairs = Sequence[tuple[int, int]]


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
        return tuple(self.cells[_OUTCOMES_AT:_TOTAL_AT].tolist())

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
        return self.cells[_FIRST_BYTE_AT:_GROUPS_AT]

    @property
    def groups(self) -> Cells:
        """By group of keys: requests, failures, and answers by how slow they were (`proxy.key_times`), shape
        (8, 64); all 0 where nothing is assigned by a key."""
        return self.cells[_GROUPS_AT:_METRICS_AT].reshape(2 + TIME_CLASSES, GROUPS)

    @property
    def metrics(self) -> Cells:
        """The route's custom metrics, as `proxy.metric_counts` lays them out, shape (4, 128)."""
        return self.cells[_METRICS_AT:_FIRST_TOKEN_AT].reshape(METRICS_MAX, METRIC_CELLS)

    @property
    def first_token(self) -> Cells:
        """Histogram of the time to the first token of streams."""
        return self.cells[_FIRST_TOKEN_AT:_TOKEN_GAP_AT]

    @property
    def token_gap(self) -> Cells:
        """Histogram of the time between two tokens of a stream, over all of them."""
        return self.cells[_TOKEN_GAP_AT:_TOKEN_TIME_AT]

    @property
    def token_time(self) -> Cells:
        """Histogram of a good stream's mean time for a token behind the first."""
        return self.cells[_TOKEN_TIME_AT:_ASIDE_AT]

    @property
    def aside(self) -> tuple[int, ...]:
        """Failures at ejected endpoints, by `Outcome`: where the arm is judged they are left out."""
        made, returned = self.cells[_ASIDE_AT:].reshape(2, OUTCOMES)
        return tuple(np.maximum(made - returned, 0).tolist())

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
        # Most arms have no keys, metrics or streams.
        for name, cells in (
            ("groups", self.cells[_GROUPS_AT:_GROUP_TIMES_AT]),
            ("group_times", self.cells[_GROUP_TIMES_AT:_METRICS_AT]),
            ("metrics", self.cells[_METRICS_AT:_FIRST_TOKEN_AT]),
            ("first_token", self.first_token),
            ("token_gap", self.token_gap),
            ("token_time", self.token_time),
            ("aside", self.cells[_ASIDE_AT:]),
        ):
            if cells.any():
                value[name] = _sparse(cells)
        return orjson.dumps(value).decode()


def loads_counts(text: str) -> Counts:
    """What `Counts.dumps` wrote; fields that did not exist then are zero."""
    value: dict[str, Any] = orjson.loads(text)
    cells = np.zeros(CELLS, dtype=np.int64)
    cells[: len(value["scalars"])] = value["scalars"]
    cells[_OUTCOMES_AT : _OUTCOMES_AT + len(value["outcomes"])] = value["outcomes"]
    for name, at in _SPARSE.items():
        for bucket, count in value.get(name, ()):
            cells[at + bucket] = count
    return Counts(cells=cells)


def make_counts(
    scalars: dict[str, int],
    outcomes: list[int],
    total: Pairs,
    first_byte: Pairs,
    **more: Pairs,
) -> Counts:
    """Counts from checked numbers; buckets are (index, count), an index that comes twice adds up.

    Args:
        more: groups, group_times, metrics, first_token, token_gap, token_time, aside; nought if left out.
    """
    cells = np.zeros(CELLS, dtype=np.int64)
    for place, name in enumerate(SCALARS):
        cells[place] = scalars.get(name, 0)
    cells[_OUTCOMES_AT:_TOTAL_AT] = outcomes
    for name, buckets in {"total": total, "first_byte": first_byte, **more}.items():
        at = _SPARSE[name]
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
