"""One arm's answers by group of keys and by how slow they were: whether some keys are slower than others.

Times of one user's requests resemble each other (long prompts stay long), so where requests are assigned by a
key the arms differ by their users, not only by chance. What shows how much is the share of slow answers in
each group of keys, at about the quantiles that latency is judged by. "Slow" is relative to the arm's own
answers: its quantiles are taken anew each time that there are a quarter more answers, so cells of workers may
be added although each worker has thresholds of its own.
"""

from __future__ import annotations

from typing import Final

from proxy.counters import GROUP_TIMES, GROUPS, TIME_CLASSES
from proxy.histogram import BUCKETS

LEVELS: Final[tuple[float, ...]] = (0.25, 0.5, 0.75, 0.9, 0.99)
"""The quantiles between two classes of answers, quickest first."""
CELLS: Final = TIME_CLASSES * GROUPS
# Fewer answers do not tell a quartile; until then all of them are among the quickest.
ANSWERS_MIN: Final = 20


class KeyTimes:
    """Counts of one slot, shape (6, 64), kept here and copied into the page by `settle`.

    Who counts an answer adds to ``counts[classes[bucket] * GROUPS + group]``: a call for it would be felt.
    """

    __slots__ = ("_base", "_cells", "_renew_at", "_stored", "classes", "counts")

    def __init__(self, cells: memoryview, base: int, totals: list[int]) -> None:
        """Go on from what the page holds; *totals* is the histogram of the arm's answers."""
        self._cells = cells
        self._base = base + GROUP_TIMES
        self.counts: list[int] = cells[self._base : self._base + CELLS].tolist()
        self._stored = self.counts.copy()
        # Of each bucket.
        self.classes: bytes = bytes(BUCKETS)
        self._renew_at = ANSWERS_MIN
        self._renew(totals)

    def settle(self, totals: list[int]) -> None:
        """Store what was counted since the last time; *totals* as they are now."""
        cells = self._cells
        base = self._base
        stored = self._stored
        for index, number in enumerate(self.counts):
            if number != stored[index]:
                cells[base + index] = number
                stored[index] = number
        self._renew(totals)

    def _renew(self, totals: list[int]) -> None:
        answers = sum(totals)
        if answers < self._renew_at:
            return
        self._renew_at = answers + answers // 4
        classes = bytearray(BUCKETS)
        for level in LEVELS:
            for bucket in range(_quantile(totals, level * answers) + 1, BUCKETS):
                classes[bucket] += 1
        self.classes = bytes(classes)


def _quantile(totals: list[int], rank: float) -> int:
    """The bucket whose upper edge is nearest to an answer's rank; -1 when that is the lower end."""
    below = 0
    for bucket, count in enumerate(totals):
        if below + count >= rank:
            return bucket - 1 if rank - below < below + count - rank else bucket
        below += count
    return BUCKETS - 1
