"""Adds up what proxies say about shadows; loss, repetition and re-ordering of reports change no sum.

As for arms (`control.collect`): of two reports of a boot the later is the larger in every count, so what is
larger is newer; a total is the sum over boots; a boot that has ended is added to one sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from control.shadows.counts import BEGAN, ENDED_AT, ShadowKey, ShadowTotals, added, largest
from control.shadows.reported import ReportedShadow

Boot = tuple[str, str]
ENDED: Final[Boot] = ("", "")
# About 60 KiB each at the worst.
ENTRIES_MAX: Final = 4096
# Earlier comparisons of a shadow that are kept beside the one in force.
EARLIER_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRow:
    """What is written down of one boot and shadow."""

    boot: Boot
    key: ShadowKey
    values: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsavedShadows:
    """What has changed since it was last written down."""

    rows: tuple[ShadowRow, ...] = ()
    ended: tuple[Boot, ...] = ()
    forgotten: tuple[ShadowKey, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.rows or self.ended or self.forgotten)


class ShadowCollector:
    """All counts of all shadows."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._entries: dict[tuple[Boot, ShadowKey], dict[str, int]] = {}
        self._samples: dict[ShadowKey, tuple[dict[str, Any], ...]] = {}
        self._dirty: dict[tuple[Boot, ShadowKey], None] = {}
        self._ended: dict[Boot, None] = {}
        self._forgotten: dict[ShadowKey, None] = {}
        self.dropped = 0

    def take(self, boot: Boot, shadows: Iterable[ReportedShadow]) -> None:
        """Merge what a live boot says."""
        for shadow in shadows:
            place = (boot, shadow.key)
            known = self._entries.get(place)
            if known is None and len(self._entries) >= self._entries_max:
                self.dropped += 1
                continue
            merged = largest(known or {}, shadow.values)
            if merged != known:
                self._entries[place] = merged
                self._dirty[place] = None
            if shadow.samples:
                self._samples[shadow.key] = shadow.samples

    def end(self, boot: Boot) -> None:
        """Add a boot that counts no more to the sum of such boots."""
        self._ended[boot] = None
        for place in [place for place in self._entries if place[0] == boot != ENDED]:
            values = self._entries.pop(place)
            self._dirty.pop(place, None)
            total = (ENDED, place[1])
            self._entries[total] = added(self._entries.get(total, {}), values)
            self._dirty[total] = None

    def total(self, key: ShadowKey) -> ShadowTotals:
        """The counts of one shadow over all boots."""
        values: dict[str, int] = {}
        for (_, other), own in self._entries.items():
            if other == key:
                values = added(values, own)
        return ShadowTotals(values, self._samples.get(key, ()))

    def follow(self, keys: Iterable[ShadowKey], wall: float) -> None:
        """Note what the table counts from now on, by the clock on the wall; earlier comparisons have ended.

        The last few of each shadow are kept; those of a shadow that no table has any more are forgotten. A
        comparison that comes back goes on where it was.
        """
        current = dict.fromkeys(keys)
        for key in current:
            known = self._entries.get((ENDED, key), {})
            if BEGAN not in known:
                self._note(key, known | {BEGAN: int(wall)})
            elif ENDED_AT in known:
                self._note(key, {name: count for name, count in known.items() if name != ENDED_AT})
        earlier = {key for _, key in self._entries} - current.keys()
        shadows = {key[:3] for key in current}
        kept: dict[tuple[str, ...], list[ShadowKey]] = {}
        for key in earlier:
            known = self._entries.get((ENDED, key), {})
            if key[:3] not in shadows or BEGAN not in known:
                self._forget(key)
                continue
            if ENDED_AT not in known:
                self._note(key, known | {ENDED_AT: int(wall)})
            kept.setdefault(key[:3], []).append(key)
        for names in kept.values():
            for key in self._newest_first(names)[EARLIER_MAX:]:
                self._forget(key)

    def earlier(self, key: ShadowKey) -> list[tuple[ShadowKey, ShadowTotals]]:
        """What other comparisons of the same shadow found before, the last to end first."""
        names = {
            other
            for boot, other in self._entries
            if boot == ENDED and other[:3] == key[:3] and other != key and self._ended_at(other)
        }
        return [(other, self.total(other)) for other in self._newest_first(names)]

    def _newest_first(self, keys: Iterable[ShadowKey]) -> list[ShadowKey]:
        return sorted(keys, key=lambda key: (-self._ended_at(key), key))

    def _ended_at(self, key: ShadowKey) -> int:
        return self._entries.get((ENDED, key), {}).get(ENDED_AT, 0)

    def _note(self, key: ShadowKey, values: dict[str, int]) -> None:
        self._entries[ENDED, key] = values
        self._dirty[ENDED, key] = None
        self._forgotten.pop(key, None)

    def _forget(self, key: ShadowKey) -> None:
        for place in [place for place in self._entries if place[1] == key]:
            del self._entries[place]
            self._dirty.pop(place, None)
        self._samples.pop(key, None)
        self._forgotten[key] = None

    def restore(self, rows: Iterable[ShadowRow]) -> None:
        """Take back what a former process has written down."""
        for row in rows:
            self._entries[row.boot, row.key] = row.values

    def unsaved(self) -> UnsavedShadows:
        """What must be written down."""
        return UnsavedShadows(
            rows=tuple(
                ShadowRow(boot=boot, key=key, values=self._entries[boot, key]) for boot, key in self._dirty
            ),
            ended=tuple(self._ended),
            forgotten=tuple(self._forgotten),
        )

    def saved(self, unsaved: UnsavedShadows) -> None:
        """Note that *unsaved* is written down; what has changed meanwhile stays unsaved."""
        for row in unsaved.rows:
            # Merging makes another mapping, so the same one has not changed.
            if self._entries.get((row.boot, row.key)) is row.values:
                self._dirty.pop((row.boot, row.key), None)
        for boot in unsaved.ended:
            self._ended.pop(boot, None)
        for key in unsaved.forgotten:
            self._forgotten.pop(key, None)
