"""One arm's row of the counter page, as its only writer keeps it: numbers here, copies of them in the page.

A worker alone writes its page, so what a cell holds is known without reading it. How many requests there are,
how often endpoints were asked for them and how they ended is stored at once: a worker that is killed takes
none of that along. Bytes, times and groups follow at the worker's next tick (`settle`), because a store into
the page costs as much as ten additions (benchmarks/micro/bench_exchange.py: a fifth of a compiled exchange);
a killed worker takes one tick of these along. FINISHED is stored last of all, so that it says how far the
rest is known.

Each cell is stored by itself: `Struct.pack_into` could store several at once, but it clears them before it
fills them, and a worker that is killed in between, or read by the agent, would have lost what it counted.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from proxy.counters import (
    ATTEMPTS,
    BYTES_IN,
    BYTES_OUT,
    DIVERT_SCORE,
    DIVERTED_FLAG,
    FAILED,
    FINISHED,
    GROUPS,
    GROUPS_FAILED,
    GROUPS_STARTED,
    HIST_FIRST_BYTE,
    HIST_TOTAL,
    OUTCOME_0,
    STARTED,
    SUM_FIRST_BYTE_US,
    SUM_TOTAL_US,
)
from proxy.histogram import BUCKETS, SHORT, SHORT_US, bucket_index
from proxy.key_times import KeyTimes

UNTIMED: Final = -1


class SlotCounts:
    """Counts of one slot; goes on from what the page holds, so a restarted worker loses nothing."""

    __slots__ = (
        "_at_once",
        "_first_bytes",
        "_groups",
        "_key_times",
        "_settled",
        "_stored",
        "_totals",
        "attempts",
        "base",
        "bytes_in",
        "bytes_out",
        "cells",
        "diverted",
        "finished",
        "ok",
        "score",
        "started",
        "sum_at_once_us",
        "sum_first_byte_us",
        "sum_total_us",
    )

    def __init__(self, cells: memoryview, base: int) -> None:
        self.cells = cells
        self.base = base
        self.started: int = cells[base + STARTED]
        self.finished: int = cells[base + FINISHED]
        self.attempts: int = cells[base + ATTEMPTS]
        self.bytes_in: i64 = cells[base + BYTES_IN]
        self.bytes_out: i64 = cells[base + BYTES_OUT]
        self.sum_total_us: i64 = cells[base + SUM_TOTAL_US]
        self.sum_first_byte_us: i64 = cells[base + SUM_FIRST_BYTE_US]
        # Times of answers that came in one piece, which belong to both sums.
        self.sum_at_once_us: i64 = 0
        self.ok: int = cells[base + OUTCOME_0]
        # Answers by bucket: those that came in one piece, and of the others the whole and the first byte.
        self._at_once = [0] * BUCKETS
        self._totals: list[int] = cells[base + HIST_TOTAL : base + HIST_TOTAL + BUCKETS].tolist()
        first_bytes = cells[base + HIST_FIRST_BYTE : base + HIST_FIRST_BYTE + BUCKETS]
        self._first_bytes: list[int] = first_bytes.tolist()
        self._groups: list[int] = cells[base + GROUPS_STARTED : base + GROUPS_STARTED + GROUPS].tolist()
        # None where nothing is assigned by a key.
        self._key_times: KeyTimes | None = None
        # What `settle` stored last, of the cells from HIST_TOTAL on, and how far the counts were then.
        self._stored = self._totals + self._first_bytes + self._groups
        self._settled = self.started + self.finished
        # What the divert knows: failures in a row as it counts them, and whether it acts on them.
        self.score: int = cells[base + DIVERT_SCORE]
        self.diverted: int = cells[base + DIVERTED_FLAG]

    def start(self, group: int) -> None:
        """A request begins, of this group of keys; -1 where nothing is assigned by a key."""
        if group >= 0:
            self._groups[group] += 1
        self.started += 1
        self.cells[self.base + STARTED] = self.started

    def attempt(self) -> None:
        """An endpoint is asked for the answer to a request, for the first time or again."""
        self.attempts += 1
        self.cells[self.base + ATTEMPTS] = self.attempts

    def fail_in(self, group: int) -> None:
        """A request of this group of keys has failed."""
        self.cells[self.base + GROUPS_FAILED + group] += 1

    def end(
        self,
        outcome: int,
        failed: bool,
        bytes_in: i64,
        bytes_out: i64,
        total_us: i64,
        first_byte_us: i64,
        group: int = -1,
    ) -> None:
        """A request of this group of keys has ended; times are UNTIMED for all but successes."""
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        if total_us >= 0:
            self.sum_total_us += total_us
            self.sum_first_byte_us += first_byte_us
            bucket = SHORT[total_us] if total_us < SHORT_US else bucket_index(total_us)
            if first_byte_us == total_us:
                self._at_once[bucket] += 1
            else:
                self._totals[bucket] += 1
                self._first_bytes[bucket_index(first_byte_us)] += 1
            if group >= 0:
                times = self._key_times
                if times is None:
                    times = self._time_keys()
                times.counts[times.classes[bucket] * GROUPS + group] += 1
        cells = self.cells
        base = self.base
        if failed:
            cells[base + FAILED] += 1
        if outcome == 0:
            self.ok += 1
            cells[base + OUTCOME_0] = self.ok
        else:
            cells[base + OUTCOME_0 + outcome] += 1
        self.finished += 1

    def succeed(self, bytes_in: i64, bytes_out: i64, total_us: i64, group: int = -1) -> None:
        """`end` of a success whose answer came in one piece."""
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        self.sum_at_once_us += total_us
        bucket = SHORT[total_us] if total_us < SHORT_US else bucket_index(total_us)
        self._at_once[bucket] += 1
        if group >= 0:
            times = self._key_times
            if times is None:
                times = self._time_keys()
            times.counts[times.classes[bucket] * GROUPS + group] += 1
        self.ok += 1
        cells = self.cells
        base = self.base
        cells[base + OUTCOME_0] = self.ok
        self.finished += 1

    def settle(self) -> None:
        """Store what `start` and `end` have only added up, if they were called since the last time."""
        settled = self.started + self.finished
        if settled == self._settled:
            return
        self._settled = settled
        cells = self.cells
        base = self.base
        cells[base + BYTES_IN] = self.bytes_in
        cells[base + BYTES_OUT] = self.bytes_out
        cells[base + SUM_TOTAL_US] = self.sum_total_us + self.sum_at_once_us
        cells[base + SUM_FIRST_BYTE_US] = self.sum_first_byte_us + self.sum_at_once_us
        totals = [whole + some for whole, some in zip(self._at_once, self._totals, strict=True)]
        firsts = [whole + some for whole, some in zip(self._at_once, self._first_bytes, strict=True)]
        counted = totals + firsts + self._groups
        stored = self._stored
        at = base + HIST_TOTAL
        for index, number in enumerate(counted):
            if number != stored[index]:
                cells[at + index] = number
        self._stored = counted
        if self._key_times is not None:
            self._key_times.settle(totals)
        cells[base + FINISHED] = self.finished

    def _time_keys(self) -> KeyTimes:
        times = self._key_times = KeyTimes(self.cells, self.base, self._totals)
        return times

    def rate(self, score: int) -> None:
        """Set the divert's score of the arm, for siblings and metrics to see."""
        self.score = score
        self.cells[self.base + DIVERT_SCORE] = score

    def divert(self, diverted: int) -> None:
        """Say whether the arm's requests go elsewhere just now."""
        self.diverted = diverted
        self.cells[self.base + DIVERTED_FLAG] = diverted
