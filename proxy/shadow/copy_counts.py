"""One shadow's row of the counter page, as its only writer keeps it: a store for each count, never a load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.counters import FAILED, FINISHED, HIST_TOTAL, OUTCOME_0, SHADOW_0, SHADOW_CELLS, SUM_TOTAL_US
from proxy.histogram import bucket_index
from proxy.outcomes import OK, UPSTREAM_5XX

if TYPE_CHECKING:
    from proxy.slot_counts import SlotCounts


class CopyCounts:
    """Counts of copies in an arm's slot; bytes and times to the first byte are counted of arms alone."""

    __slots__ = ("base", "cells", "slot", "values")

    def __init__(self, slot: SlotCounts) -> None:
        self.slot = slot
        self.cells: memoryview = slot.cells
        self.base: int = slot.base
        start = slot.base + SHADOW_0
        self.values: list[int] = slot.cells[start : start + SHADOW_CELLS].tolist()

    def add(self, cell: int) -> None:
        """Count one in a cell of `proxy.shadow.cells`."""
        place = cell - SHADOW_0
        count = self.values[place] + 1
        self.values[place] = count
        self.cells[self.base + cell] = count

    def end(self, outcome: int, total_us: int) -> None:
        """A copy has ended; it is timed only when it was answered well."""
        slot = self.slot
        cells = self.cells
        base = self.base
        if outcome == OK:
            slot.ok += 1
            cells[base + OUTCOME_0] = slot.ok
            slot.sum_total_us += total_us
            cells[base + SUM_TOTAL_US] = slot.sum_total_us
            cells[base + HIST_TOTAL + bucket_index(total_us)] += 1
        else:
            cells[base + OUTCOME_0 + outcome] += 1
            if outcome >= UPSTREAM_5XX:
                cells[base + FAILED] += 1
        slot.finished += 1
        cells[base + FINISHED] = slot.finished
