"""What every act of the demonstration has at hand, and how it waits for something to happen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from control.demo.gate import Gate
from control.demo.narrator import Narrator
from control.demo.people import People
from control.demo.scenario import Pace
from control.demo.traffic import Traffic

T = TypeVar("T")

_LOOK_S: Final = 0.2


class StoryError(Exception):
    """The story did not happen as it should; the text says what did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """How a release came out of one way of trying it, and what clients saw of it until then."""

    release: str
    way: str
    ended: str
    took_s: float
    answered: int
    failed: int


@dataclass(slots=True, kw_only=True)
class Stage:
    """One performance. `acts` grows as it goes on."""

    folder: Path
    pace: Pace
    narrator: Narrator
    people: People
    gate: Gate
    traffic: Traffic
    acts: list[Act] = field(default_factory=list)

    async def until(self, look: Callable[[], Awaitable[T | None]]) -> T:
        """Look again and again until there is something to see.

        Raises:
            StoryError: Headgate ended.
        """
        while True:
            if not self.gate.running:
                raise StoryError(f"headgate ended\n{self.gate.last_words()}")
            if (found := await look()) is not None:
                return found
            await asyncio.sleep(_LOOK_S)

    def began(self, release: str, way: str) -> Callable[[str], Act]:
        """Note that a release is tried from now on; what this returns is called with how that ended."""
        since = self.narrator.elapsed
        before = self.traffic.tally.variant(release)

        def ended(how: str) -> Act:
            answered, failed = self.traffic.tally.variant(release)
            act = Act(
                release=release,
                way=way,
                ended=how,
                took_s=self.narrator.elapsed - since,
                answered=answered - before[0],
                failed=failed - before[1],
            )
            self.acts.append(act)
            return act

        return ended
