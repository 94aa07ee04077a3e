"""What a shadow counts beyond an arm's row of the counter page: a store for each count, never a load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.counters import SHADOW_0, SHADOW_CELLS
from proxy.outcomes import OK, UPSTREAM_5XX

if TYPE_CHECKING:
    from proxy.slot_counts import SlotCounts

UNTIMED: Final = -1


class CopyCounts:
    """The cells of `proxy.shadow.cells`; how copies begin and end is counted by the slot, as for any arm."""

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
        """A copy has ended; it is timed only when it was answered well, and its bytes are not counted."""
        time = total_us if outcome == OK else UNTIMED
        self.slot.end(outcome, outcome >= UPSTREAM_5XX, 0, 0, time, time)
