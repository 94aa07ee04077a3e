"""What an arm has counted: the cells of a slot as a value that adds up over workers, boots and stages."""

from typing import Any, Final

from proxy.counters import (
    ASIDE_0,
    ATTEMPTS,
    BYTES_IN,
    BYTES_OUT,
    DIVERT_SCORE,
    DIVERTED,
    DIVERTED_FLAG,
    FAILED,
    GROUP_TIMES,
    GROUPS,
    GROUPS_STARTED,
    HIST_FIRST_BYTE,
    HIST_FIRST_TOKEN,
    HIST_TOKEN_GAP,
    HIST_TOKEN_TIME,
    HIST_TOTAL,
    METRIC_CELLS,
    METRICS,
    METRICS_MAX,
    OUTCOME_0,
    PROBES,
    RETRIES,
    SLOT_CELLS,
    STARTED,
    STREAM_TOKENS,
    STREAMS,
    STREAMS_BROKEN,
    STREAMS_STALLED,
    STREAMS_TRUNCATED,
    STREAMS_UNREAD,
    SUM_FIRST_BYTE_US,
    SUM_FIRST_TOKEN_US,
    SUM_TOKEN_GAP_US,
    SUM_TOKEN_TIME_US,
    SUM_TOTAL_US,
    TIME_CLASSES,
)
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES

Cells = list[int]

_NOTHING: Final = [0] * OUTCOMES
_NO_TIMES: Final = [0] * (TIME_CLASSES * GROUPS)
GAUGES: Final = (DIVERT_SCORE, DIVERTED_FLAG)

_REPORTED: Final = {
    "failed": FAILED,
    "diverted": DIVERTED,
    "probes": PROBES,
    "attempts": ATTEMPTS,
    "retries": RETRIES,
    "bytes_in": BYTES_IN,
    "bytes_out": BYTES_OUT,
    "sum_total_us": SUM_TOTAL_US,
    "sum_first_byte_us": SUM_FIRST_BYTE_US,
}
_STREAMS_REPORTED: Final = {
    "streams": STREAMS,
    "streams_unread": STREAMS_UNREAD,
    "streams_stalled": STREAMS_STALLED,
    "streams_truncated": STREAMS_TRUNCATED,
    "streams_broken": STREAMS_BROKEN,
    "stream_tokens": STREAM_TOKENS,
    "sum_first_token_us": SUM_FIRST_TOKEN_US,
    "sum_token_gap_us": SUM_TOKEN_GAP_US,
    "sum_token_time_us": SUM_TOKEN_TIME_US,
}


class ArmCounts:
    """Counts of one arm since its first request. `lost` are requests whose worker died before their end."""

    __slots__ = ("cells", "lost")

    def __init__(self, cells: Cells | None = None, lost: int = 0) -> None:
        self.cells: Cells = [0] * SLOT_CELLS if cells is None else cells
        self.lost = lost

    def add(self, other: "ArmCounts") -> None:
        """Add what another worker, boot or stage counted."""
        self.cells = [mine + theirs for mine, theirs in zip(self.cells, other.cells, strict=True)]
        self.lost += other.lost

    @property
    def outcomes(self) -> Cells:
        """Requests by outcome."""
        return self.cells[OUTCOME_0 : OUTCOME_0 + OUTCOMES]

    @property
    def finished(self) -> int:
        """Requests that have an outcome. The sum, not the cell: a writer may have died between the two."""
        return sum(self.outcomes)

    @property
    def started(self) -> int:
        """Requests begun; never less than those that have an outcome."""
        return max(self.cells[STARTED], self.finished + self.lost)

    @property
    def in_flight(self) -> int:
        """Requests begun by a live worker, without an outcome yet."""
        return self.started - self.finished - self.lost

    @property
    def total(self) -> Cells:
        """Histogram of the whole duration of successes, by bucket."""
        return self.cells[HIST_TOTAL : HIST_TOTAL + BUCKETS]

    @property
    def first_byte(self) -> Cells:
        """Histogram of the time to the first byte of successes, by bucket."""
        return self.cells[HIST_FIRST_BYTE : HIST_FIRST_BYTE + BUCKETS]

    @property
    def first_token(self) -> Cells:
        """Histogram of the time to the first token of streams, by bucket."""
        return self.cells[HIST_FIRST_TOKEN : HIST_FIRST_TOKEN + BUCKETS]

    @property
    def token_gap(self) -> Cells:
        """Histogram of the time between two tokens of a stream, by bucket."""
        return self.cells[HIST_TOKEN_GAP : HIST_TOKEN_GAP + BUCKETS]

    @property
    def token_time(self) -> Cells:
        """Histogram of a good stream's mean time for a token behind the first, by bucket."""
        return self.cells[HIST_TOKEN_TIME : HIST_TOKEN_TIME + BUCKETS]

    @property
    def aside(self) -> Cells:
        """Failures set aside, by outcome, then those among them that count all the same, by outcome."""
        return self.cells[ASIDE_0 : ASIDE_0 + 2 * OUTCOMES]

    @property
    def set_aside(self) -> int:
        """Failures that are left out where the arm is judged."""
        aside = self.aside
        return max(0, sum(aside[:OUTCOMES]) - sum(aside[OUTCOMES:]))

    @property
    def group_times(self) -> Cells:
        """Answers by how slow they were, and within each class by group of keys."""
        return self.cells[GROUP_TIMES : GROUP_TIMES + TIME_CLASSES * GROUPS]

    def report(self) -> dict[str, Any]:
        """Return the counts as control takes them: cumulative, histograms as [bucket, count] pairs."""
        return {
            "started": self.started,
            "finished": self.finished,
            "outcomes": self.outcomes,
            **{name: self.cells[cell] for name, cell in _REPORTED.items()},
            "total": sparse(self.total),
            "first_byte": sparse(self.first_byte),
            "groups": sparse(self.cells[GROUPS_STARTED : GROUPS_STARTED + 2 * GROUPS]),
            "metrics": sparse(self.cells[METRICS : METRICS + METRICS_MAX * METRIC_CELLS]),
            "diverted_now": int(self.cells[DIVERTED_FLAG] > 0),
            "lost": self.lost,
            **({"aside": sparse(self.aside)} if self.cells[ASIDE_0 : ASIDE_0 + OUTCOMES] != _NOTHING else {}),
            **({"group_times": sparse(self.group_times)} if self.group_times != _NO_TIMES else {}),
            **self._streams(),
        }

    def _streams(self) -> dict[str, Any]:
        """What is reported of streams; nothing where none was looked at, as on most routes."""
        if not self.cells[STREAMS]:
            return {}
        return {
            **{name: self.cells[cell] for name, cell in _STREAMS_REPORTED.items()},
            "first_token": sparse(self.first_token),
            "token_gap": sparse(self.token_gap),
            "token_time": sparse(self.token_time),
        }

    def settled(self) -> "ArmCounts":
        """Return the counts of an arm that nobody writes any more: without gauges."""
        return ArmCounts(baseline_of(self.cells), self.lost)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as stored beside the pages."""
        return {"cells": sparse(self.cells), "lost": self.lost}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "ArmCounts":
        """Return stored counts."""
        return ArmCounts(dense(value["cells"]), value["lost"])


def since(cells: Cells, baseline: Cells | None) -> Cells:
    """Return what was counted in a slot after `baseline` was taken; gauges are as they are."""
    if baseline is None:
        return cells
    return [now - before for now, before in zip(cells, baseline, strict=True)]


def baseline_of(cells: Cells) -> Cells:
    """Return cells as a baseline: everything counted so far belongs to an earlier arm, gauges to nobody."""
    return [0 if position in GAUGES else value for position, value in enumerate(cells)]


def sparse(cells: Cells) -> list[list[int]]:
    """Return the cells that are not 0 as [position, value] pairs."""
    return [[position, value] for position, value in enumerate(cells) if value]


def dense(pairs: list[list[int]]) -> Cells:
    """Return the cells that `sparse` was given, `SLOT_CELLS` long."""
    cells = [0] * SLOT_CELLS
    for position, value in pairs:
        cells[position] = value
    return cells
