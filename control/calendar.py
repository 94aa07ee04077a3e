"""Freeze windows: whether one is open at a moment, and until when. Pure: the caller says what time it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, Self

from config.freezes import WEEKDAYS, zone

# Windows that follow each other are one; their common end is looked for this far ahead, in so many windows.
_AHEAD_S: Final = 366 * 86400.0
_CHAIN_MAX: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """An open freeze."""

    name: str
    until: float | None
    """Unix seconds; None = it goes on for longer than a year, as far as can be seen."""

    @property
    def text(self) -> str:
        """What a gate says."""
        if self.until is None:
            return f"freeze {self.name!r} lasts until the configuration ends it: no other end is known"
        end = datetime.fromtimestamp(self.until, zone("UTC")).strftime("%Y-%m-%d %H:%M UTC")
        return f"freeze {self.name!r} lasts until {end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Weekly hours, or a single period; as `config.freezes.Freeze` in plain values."""

    name: str
    days: tuple[int, ...] = ()
    """0 is Monday; none = every day."""
    start: time = time(0)
    end: time | None = None
    """None = midnight, at the end of the day."""
    time_zone: str = "UTC"
    since: float | None = None
    until: float | None = None
    """Unix seconds of a single period."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """A freeze that the schema has checked."""
        if plain.get("since") is not None:
            return cls(name=plain["name"], since=_unix(plain["since"]), until=_unix(plain["until"]))
        end = plain.get("to", "24:00")
        return cls(
            name=plain["name"],
            days=tuple(WEEKDAYS.index(day) for day in plain.get("days", ())),
            start=time.fromisoformat(plain.get("from", "00:00").replace("24:00", "00:00")),
            end=None if end == "24:00" else time.fromisoformat(end),
            time_zone=plain.get("time_zone", "UTC"),
        )

    def ends(self, wall: float) -> float | None:
        """When the window that is open at *wall* ends, in Unix seconds; None when none is."""
        if self.since is not None and self.until is not None:
            return self.until if self.since <= wall < self.until else None
        where = zone(self.time_zone)
        today = datetime.fromtimestamp(wall, where).date()
        # A window that goes over midnight began yesterday.
        for day in (today - timedelta(days=1), today):
            if self.days and day.weekday() not in self.days:
                continue
            begin = datetime.combine(day, self.start, where)
            last = day + timedelta(days=1) if self.end is None or self.end <= self.start else day
            over = datetime.combine(last, self.end or time(0), where)
            if begin.timestamp() <= wall < over.timestamp():
                return over.timestamp()
        return None


def frozen(freezes: Iterable[Freeze], wall: float) -> Frozen | None:
    """The freeze that is open at *wall* (Unix seconds), with the end of all that follow without a gap."""
    freezes = tuple(freezes)
    open_now = [(end, freeze.name) for freeze in freezes if (end := freeze.ends(wall)) is not None]
    if not open_now:
        return None
    last, name = max(open_now)
    return Frozen(name=name, until=_followed(freezes, last))


# Every look at a rollout asks, and the answer changes when a window ends: once or twice a day.
@lru_cache(maxsize=64)
def _followed(freezes: tuple[Freeze, ...], until: float) -> float | None:
    """When the chain of windows that has a link ending at *until* ends; None = not soon enough to see."""
    horizon = until + _AHEAD_S
    for _ in range(_CHAIN_MAX):
        ends = [end for freeze in freezes if (end := freeze.ends(until)) is not None]
        if not ends:
            return until
        until = max(ends)
        if until > horizon:
            break
    return None


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
