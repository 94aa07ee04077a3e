"""One arm's row of the counter page, as its only writer keeps it: numbers here, copies of them in the page.

A worker alone writes its page, so what a cell holds is known without reading it. Each cell is stored by
itself: `Struct.pack_into` could store several at once, but it clears them before it fills them, and a worker
that is killed in between, or read by the agent, would have lost what it counted.
"""

from __future__ import annotations

from typing import Final

from proxy.counters import (
    ATTEMPTS,
    BYTES_IN,
    BYTES_OUT,
    DIVERT_SCORE,
    DIVERTED_FLAG,
    FAILED,
    FINISHED,
    GROUPS_FAILED,
    GROUPS_STARTED,
    HIST_FIRST_BYTE,
    HIST_TOTAL,
    OUTCOME_0,
    STARTED,
    SUM_FIRST_BYTE_US,
    SUM_TOTAL_US,
)
from proxy.histogram import bucket_index

UNTIMED: Final = -1


class SlotCounts:
    """Counts of one slot; goes on from what the page holds, so a restarted worker loses nothing."""

    __slots__ = (
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
        "sum_first_byte_us",
        "sum_total_us",
    )

    def __init__(self, cells: memoryview, base: int) -> None:
        self.cells = cells
        self.base = base
        self.started: int = cells[base + STARTED]
        self.finished: int = cells[base + FINISHED]
        self.attempts: int = cells[base + ATTEMPTS]
        self.bytes_in: int = cells[base + BYTES_IN]
        self.bytes_out: int = cells[base + BYTES_OUT]
        self.sum_total_us: int = cells[base + SUM_TOTAL_US]
        self.sum_first_byte_us: int = cells[base + SUM_FIRST_BYTE_US]
        self.ok: int = cells[base + OUTCOME_0]
        # What the divert knows: failures in a row as it counts them, and whether it acts on them.
        self.score: int = cells[base + DIVERT_SCORE]
        self.diverted: int = cells[base + DIVERTED_FLAG]

    def start(self) -> None:
        """A request begins."""
        self.started += 1
        self.cells[self.base + STARTED] = self.started

    def start_in(self, group: int) -> None:
        """A request of this group of keys begins."""
        self.cells[self.base + GROUPS_STARTED + group] += 1

    def fail_in(self, group: int) -> None:
        """A request of this group of keys has failed."""
        self.cells[self.base + GROUPS_FAILED + group] += 1

    def end(
        self, outcome: int, failed: bool, bytes_in: int, bytes_out: int, total_us: int, first_byte_us: int
    ) -> None:
        """A request has ended; times are UNTIMED for all but successes."""
        cells = self.cells
        base = self.base
        if outcome == 0:
            self.ok += 1
            cells[base + OUTCOME_0] = self.ok
        else:
            cells[base + OUTCOME_0 + outcome] += 1
        if failed:
            cells[base + FAILED] += 1
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        if total_us >= 0:
            self.sum_total_us += total_us
            self.sum_first_byte_us += first_byte_us
            cells[base + SUM_TOTAL_US] = self.sum_total_us
            cells[base + SUM_FIRST_BYTE_US] = self.sum_first_byte_us
            bucket = bucket_index(total_us)
            cells[base + HIST_TOTAL + bucket] += 1
            if first_byte_us != total_us:
                bucket = bucket_index(first_byte_us)
            cells[base + HIST_FIRST_BYTE + bucket] += 1
        cells[base + ATTEMPTS] = self.attempts
        cells[base + BYTES_IN] = self.bytes_in
        cells[base + BYTES_OUT] = self.bytes_out
        self.finished += 1
        cells[base + FINISHED] = self.finished

    def rate(self, score: int) -> None:
        """Set the divert's score of the arm, for siblings and metrics to see."""
        self.score = score
        self.cells[self.base + DIVERT_SCORE] = score

    def divert(self, diverted: int) -> None:
        """Say whether the arm's requests go elsewhere just now."""
        self.diverted = diverted
        self.cells[self.base + DIVERTED_FLAG] = diverted
