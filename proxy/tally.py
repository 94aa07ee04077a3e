"""Exact totals of one boot: every arm's counts over its workers' pages, whatever died or was recycled.

The pages are never written here. What a page held for an earlier arm of a slot is kept as a *baseline* and
subtracted; what an arm had counted when its slot was recycled is *carried*; what a worker had begun when it
died is a *gap* between its started and its ended requests, and counts as lost.
"""

from pathlib import Path
from typing import Any, Final

from proxy.counts import ArmCounts, Cells, baseline_of, dense, since, sparse
from proxy.pages import PageReader, uncounted
from proxy.shadow.report import arms_only, shadow_reports
from proxy.slots import ArmKey, SlotBook

LEDGER_VERSION: Final = 1
# Arms of past stages kept apart, about 10 KiB each; older ones are folded into their route's totals.
CARRIED_MAX: Final = 1024
# Sets of labels that /metrics may grow to before what is new is shown as "other".
LABELS_MAX: Final = 1024
OTHER: Final = ("other", "other", "other")
# Boots folded in lately: a crash between folding and removing their pages must not count them twice.
INHERITED_BOOTS_MAX: Final = 64

Labels = tuple[str, str, str]
"""Route, variant and role."""


class Tally:
    """The counts of one boot."""

    def __init__(self, *, node: str, boot: str, book: SlotBook) -> None:
        self.node = node
        self.boot = boot
        self.book = book
        self.pages: dict[int, PageReader] = {}
        self.generation = 0
        self.inherited_boots: list[str] = []
        self._sequence = 0
        self._baselines: dict[tuple[int, int], Cells] = {}
        # Requests without an outcome, and without a finish, when the last writer of the page died.
        self._gaps: dict[tuple[int, int], tuple[int, int]] = {}
        self._carried: dict[ArmKey, ArmCounts] = {}
        # Arms that cannot change, in the last report, and those whose report has arrived.
        self._reported: set[ArmKey] = set()
        self._acknowledged: set[ArmKey] = set()
        self._folded: dict[Labels, ArmCounts] = {}
        self._cache: dict[tuple[int, int], tuple[bytes, Cells]] = {}

    def add_page(self, path: Path) -> PageReader:
        """Count a page of this boot too; PageError or OSError when it cannot be read."""
        page = PageReader(str(path))
        self.pages[page.index] = page
        return page

    def writer_died(self, index: int) -> int:
        """Note that worker `index` is gone for good; return how many requests it took with it.

        Call it after the process has been waited for: the page must not change any more.
        """
        page = self.pages[index]
        lost = 0
        for slot in self.book.occupied().values():
            gap = (uncounted(page.slot(slot)), page.open_requests(slot))
            lost += gap[0] - self._gaps.get((index, slot), (0, 0))[0]
            self._gaps[index, slot] = gap
        return lost

    def arms(self) -> dict[ArmKey, ArmCounts]:
        """Return the counts of every arm that is still told apart."""
        occupied = self.book.occupied()
        return {key: self._arm(key, occupied.get(key)) for key in {**self._carried, **occupied}}

    def totals(self) -> dict[Labels, ArmCounts]:
        """Return counts by route, variant and role, over all stages: these only grow."""
        totals = {labels: ArmCounts(counts.cells, counts.lost) for labels, counts in self._folded.items()}
        for key, counts in self.arms().items():
            labels = _bounded(key[:3], totals)
            if labels in totals:
                totals[labels].add(counts)
            else:
                totals[labels] = counts
        return totals

    def recycle(self, revision_acked: int) -> list[ArmKey]:
        """Free the slots that no worker can write any more; return the arms that had them."""
        keys = self.book.recyclable(revision_acked, self._quiet)
        for key in keys:
            slot = self.book.release(key)
            self._carried[key] = self._arm(key, slot).settled()
            self._acknowledged.discard(key)
            self._reported.discard(key)
            for index, page in self.pages.items():
                self._baselines[index, slot] = baseline_of(page.slot(slot))
                self._cache.pop((index, slot), None)
        self._bound_carried()
        return keys

    def fold(self, earlier: "Tally") -> None:
        """Take over the totals of an earlier boot, which has ended, into /metrics; twice is once."""
        if earlier.boot in self.inherited_boots:
            return
        for labels, counts in earlier.totals().items():
            self._fold(labels, counts.settled())
        self.inherit([earlier.boot])

    def inherit(self, boots: list[str]) -> None:
        """Note that the totals of these boots are in this tally already."""
        known = dict.fromkeys([*self.inherited_boots, *boots])
        self.inherited_boots = list(known)[-INHERITED_BOOTS_MAX:]

    def report(self, *, revision: int, final: bool = False) -> dict[str, Any]:
        """Return the next cumulative report to control; only one may be under way at a time."""
        self._sequence += 1
        occupied = self.book.occupied().keys()
        # An arm of an earlier table that is back counts on.
        self._acknowledged -= occupied
        arms = {key: counts for key, counts in self.arms().items() if key not in self._acknowledged}
        self._reported = arms.keys() - occupied
        return {
            "node": self.node,
            "boot": self.boot,
            # A new agent that reports for this boot begins above all numbers of the agent before it.
            "sequence": self.generation << 40 | self._sequence,
            "revision": revision,
            "arms": [{**key._asdict(), **counts.report()} for key, counts in arms_only(arms).items()],
            "shadows": shadow_reports(arms),
            "final": final,
        }

    def acknowledged(self) -> None:
        """Note that control has stored the last report: what cannot change any more is not sent again."""
        self._acknowledged |= self._reported - self.book.occupied().keys()

    def _arm(self, key: ArmKey, slot: int | None) -> ArmCounts:
        counts = ArmCounts()
        if key in self._carried:
            counts.add(self._carried[key])
        if slot is not None:
            for index in self.pages:
                counts.add(self._slot_counts(index, slot))
        return counts

    def _slot_counts(self, index: int, slot: int) -> ArmCounts:
        cells = self._cells(index, slot)
        baseline = self._baselines.get((index, slot))
        gap = self._gaps.get((index, slot), (0, 0))[0]
        return ArmCounts(since(cells, baseline), gap - (uncounted(baseline) if baseline else 0))

    def _cells(self, index: int, slot: int) -> Cells:
        raw = self.pages[index].slot_bytes(slot)
        cached = self._cache.get((index, slot))
        if cached is not None and cached[0] == raw:
            return cached[1]
        cells = memoryview(raw).cast("Q").tolist()
        self._cache[index, slot] = (raw, cells)
        return cells

    def _quiet(self, slot: int) -> bool:
        return all(
            page.open_requests(slot) == self._gaps.get((index, slot), (0, 0))[1]
            for index, page in self.pages.items()
        )

    def _bound_carried(self) -> None:
        occupied = self.book.occupied()
        for key in list(self._carried)[: max(0, len(self._carried) - CARRIED_MAX)]:
            if key not in occupied:
                self._fold(key[:3], self._carried.pop(key))
                self._acknowledged.discard(key)

    def _fold(self, labels: Labels, counts: ArmCounts) -> None:
        labels = _bounded(labels, self._folded)
        self._folded.setdefault(labels, ArmCounts()).add(counts)

    def to_json(self) -> dict[str, Any]:
        """Return what a later agent needs besides the pages, to go on where this one ended."""
        return {
            "version": LEDGER_VERSION,
            "node": self.node,
            "boot": self.boot,
            "generation": self.generation,
            "slots": self.book.to_json(),
            "baselines": [[*place, sparse(cells)] for place, cells in self._baselines.items()],
            "gaps": [[*place, *gap] for place, gap in self._gaps.items()],
            "carried": [[list(key), counts.to_json()] for key, counts in self._carried.items()],
            "folded": [[list(labels), counts.to_json()] for labels, counts in self._folded.items()],
            "inherited_boots": self.inherited_boots,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Tally":
        """Return the tally of an earlier boot, without its pages; ValueError or KeyError when it is none."""
        if value["version"] != LEDGER_VERSION:
            raise ValueError(f"version {value['version']}, this program reads {LEDGER_VERSION}")
        book = SlotBook()
        book.current = {ArmKey(*key): int(slot) for slot, key in value["slots"].items()}
        tally = Tally(node=value["node"], boot=value["boot"], book=book)
        tally.generation = value["generation"]
        tally.inherited_boots = value["inherited_boots"]
        tally._baselines = {(index, slot): dense(cells) for index, slot, cells in value["baselines"]}
        tally._gaps = {(index, slot): (outcome, finish) for index, slot, outcome, finish in value["gaps"]}
        tally._carried = {ArmKey(*key): ArmCounts.from_json(counts) for key, counts in value["carried"]}
        tally._folded = {tuple(labels): ArmCounts.from_json(counts) for labels, counts in value["folded"]}
        return tally


def _bounded(labels: Labels, known: dict[Labels, ArmCounts]) -> Labels:
    return labels if labels in known or len(known) < LABELS_MAX else OTHER
