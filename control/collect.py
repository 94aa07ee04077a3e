"""Adds up what the proxies count, so that no loss, repetition or re-ordering of reports changes a sum.

Every count of a boot only grows, so of two reports of it the later one is the larger in each cell, and
taking the larger cell by cell gives the newest state whatever came in which order. An arm's total is the
sum over boots. A boot that has ended is added to one sum for all such boots and remembered by name, so
that a late copy of one of its reports is recognised.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from control.counts import NOTHING, ArmKey, Counts
from control.reports import Report, ReportedArm

Boot = tuple[str, str]
"""A node's name and the identifier of one life of it."""

ENDED: Final[Boot] = ("", "")
"""Stands for all boots that have ended; no real node has an empty name."""

# 8 192 × 11 kB is 90 MB at the very worst: five hundred nodes with sixteen arms each.
CELLS_MAX: Final = 8_192
BOOTS_MAX: Final = 4_096
ENDED_MAX: Final = 10_000
_SILENT_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a report's arms: took part, said nothing new, or found no room."""

    accepted: int
    stale: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """When a boot last reported (steady seconds), and the revision of the table it served by."""

    at: float
    revision: int


@dataclass(slots=True, kw_only=True)
class _Cell:
    counts: Counts
    sequence: int
    diverted_now: bool
    changed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsaved:
    """What has changed since it was last written down. Forget first: a forgotten arm may have come back."""

    counts: dict[tuple[Boot, ArmKey], Counts]
    ended: tuple[Boot, ...]
    forgotten: tuple[ArmKey, ...]

    @property
    def empty(self) -> bool:
        return not (self.counts or self.ended or self.forgotten)


class Collector:
    """All counts of all arms. Times are steady seconds."""

    def __init__(
        self, *, cells_max: int = CELLS_MAX, boots_max: int = BOOTS_MAX, ended_max: int = ENDED_MAX
    ) -> None:
        self._cells_max = cells_max
        self._boots_max = boots_max
        self._ended_max = ended_max
        self._boots: dict[Boot, dict[ArmKey, _Cell]] = {}
        self._heard: dict[Boot, Heard] = {}
        self._totals: dict[ArmKey, Counts] = {}
        self._ended: OrderedDict[Boot, None] = OrderedDict()
        self._cells = 0
        self._dirty: dict[tuple[Boot, ArmKey], None] = {}
        self._dirty_ended: dict[Boot, None] = {}
        self._dirty_forgotten: dict[ArmKey, None] = {}
        self.reports = 0
        self.stale = 0
        self.dropped = 0

    def take(self, report: Report, now: float) -> Taken:
        """Merge a report. A final one also ends its boot."""
        self.reports += 1
        boot = (report.node, report.boot)
        if boot in self._ended:
            self.stale += len(report.arms)
            return Taken(accepted=0, stale=len(report.arms), dropped=0)
        if not self._room(now) and boot not in self._heard:
            self.dropped += len(report.arms)
            return Taken(accepted=0, stale=0, dropped=len(report.arms))
        self._heard[boot] = Heard(at=now, revision=report.revision)
        accepted = stale = dropped = 0
        for arm in report.arms:
            if arm.key not in self._boots.get(boot, {}) and self._cells >= self._cells_max:
                dropped += 1
            elif self._merge(boot, arm, report.sequence, now):
                accepted += 1
            else:
                stale += 1
        self.stale += stale
        self.dropped += dropped
        if report.final:
            self._end(boot, now)
        return Taken(accepted=accepted, stale=stale, dropped=dropped)

    def has_ended(self, boot: Boot) -> bool:
        """Whether a boot is known to count no more."""
        return boot in self._ended

    def total(self, key: ArmKey) -> Counts:
        """The counts of an arm, summed over all boots."""
        return self._totals.get(key, NOTHING)

    def totals(self) -> dict[ArmKey, Counts]:
        """The counts of every arm."""
        return dict(self._totals)

    def diverting(self, route: str) -> int:
        """How many boots divert an arm of *route* at this moment."""
        return sum(
            any(cell.diverted_now and key.route == route for key, cell in cells.items())
            for cells in self._boots.values()
        )

    def diverted(self) -> set[tuple[str, str, str, str]]:
        """Route, variant, node and boot of every diversion at this moment."""
        return {
            (key.route, key.variant, *boot)
            for boot, cells in self._boots.items()
            for key, cell in cells.items()
            if cell.diverted_now
        }

    def has_reported(self, boot: Boot) -> bool:
        """Whether this process has heard of a boot that has not ended; what was restored was heard before."""
        heard = self._heard.get(boot)
        return heard is not None and heard.revision > 0

    def heard(self) -> dict[Boot, Heard]:
        """The last word of each boot that has not ended."""
        return dict(self._heard)

    def forget_idle(
        self, now: float, *, keep: Callable[[ArmKey], bool], seconds: float = _SILENT_SECONDS
    ) -> None:
        """Drop the arms that nobody needs to *keep* and that have been quiet for *seconds*."""
        changed: dict[ArmKey, float] = {}
        for cells in self._boots.values():
            for key, cell in cells.items():
                changed[key] = max(cell.changed_at, changed.get(key, 0.0))
        for key, at in changed.items():
            if now - at > seconds and not keep(key):
                self._forget(key)

    def restore(self, rows: Iterable[tuple[Boot, ArmKey, Counts]], ended: Iterable[Boot], now: float) -> None:
        """Take back what a former process has written down."""
        for boot, key, counts in rows:
            cells = self._boots.setdefault(boot, {})
            cells[key] = _Cell(counts=counts, sequence=0, diverted_now=False, changed_at=now)
            self._totals[key] = self.total(key) + counts
            self._cells += 1
            if boot != ENDED:
                self._heard[boot] = Heard(at=now, revision=0)
        for boot in ended:
            self._remember_ended(boot)

    def unsaved(self, routes: Collection[str] | None = None) -> Unsaved:
        """What must be written down; only that of these *routes*, as long as no boot has ended."""
        every = routes is None or self._dirty_ended or self._dirty_forgotten
        return Unsaved(
            counts={
                (boot, key): self._boots[boot][key].counts
                for boot, key in self._dirty
                if every or key.route in (routes or ())
            },
            ended=tuple(self._dirty_ended),
            forgotten=tuple(self._dirty_forgotten),
        )

    def saved(self, unsaved: Unsaved) -> None:
        """Note that *unsaved* is written down; what has changed meanwhile stays unsaved."""
        for (boot, key), counts in unsaved.counts.items():
            cell = self._boots.get(boot, {}).get(key)
            if cell is None or cell.counts is counts:
                self._dirty.pop((boot, key), None)
        for boot in unsaved.ended:
            self._dirty_ended.pop(boot, None)
        for key in unsaved.forgotten:
            self._dirty_forgotten.pop(key, None)

    def _merge(self, boot: Boot, arm: ReportedArm, sequence: int, now: float) -> bool:
        cells = self._boots.setdefault(boot, {})
        cell = cells.get(arm.key)
        if cell is None:
            cells[arm.key] = _Cell(
                counts=arm.counts, sequence=sequence, diverted_now=arm.diverted_now, changed_at=now
            )
            self._cells += 1
            self._changed(boot, arm.key, NOTHING, arm.counts)
            return True
        merged = np.maximum(cell.counts.cells, arm.counts.cells)
        grown = not np.array_equal(merged, cell.counts.cells)
        if grown:
            before, cell.counts = cell.counts, Counts(cells=merged)
            cell.changed_at = now
            self._changed(boot, arm.key, before, cell.counts)
        # A gauge goes both ways, so here the order counts; a boot read by a new agent numbers afresh,
        # which its grown counts tell.
        if sequence > cell.sequence or grown:
            cell.sequence = sequence
            cell.diverted_now = arm.diverted_now
            return True
        return False

    def _changed(self, boot: Boot, key: ArmKey, before: Counts, after: Counts) -> None:
        self._totals[key] = Counts(cells=self.total(key).cells + (after.cells - before.cells))
        self._dirty[boot, key] = None

    def _end(self, boot: Boot, now: float) -> None:
        self._remember_ended(boot)
        self._dirty_ended[boot] = None
        self._heard.pop(boot, None)
        sums = self._boots.setdefault(ENDED, {})
        for key, cell in self._boots.pop(boot, {}).items():
            self._dirty.pop((boot, key), None)
            self._cells -= 1
            found = sums.get(key)
            if found is None:
                sums[key] = _Cell(
                    counts=cell.counts, sequence=0, diverted_now=False, changed_at=cell.changed_at
                )
                self._cells += 1
            else:
                found.counts += cell.counts
                found.changed_at = now
            self._dirty[ENDED, key] = None

    def _remember_ended(self, boot: Boot) -> None:
        self._ended[boot] = None
        while len(self._ended) > self._ended_max:
            self._ended.popitem(last=False)

    def _room(self, now: float) -> bool:
        if self._cells < self._cells_max and len(self._heard) < self._boots_max:
            return True
        # Boots not heard of for an hour are most likely gone without a last word.
        silent = [boot for boot, heard in self._heard.items() if now - heard.at > _SILENT_SECONDS]
        for boot in silent:
            self._end(boot, now)
        return self._cells < self._cells_max and len(self._heard) < self._boots_max

    def _forget(self, key: ArmKey) -> None:
        for boot, cells in self._boots.items():
            if cells.pop(key, None) is not None:
                self._cells -= 1
                self._dirty.pop((boot, key), None)
        self._totals.pop(key, None)
        self._dirty_forgotten[key] = None
