"""The evidence that two variants differ, either way: taken in block by block, valid at every look. Pure.

Both directions are bet on with the block e-process that judges canaries (`control.stats.mixture`): that the
variant fails more than control, and that control fails more than it. Each gets half of the level, so that a
difference is declared wrongly with a chance of at most alpha, however often one looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from control.stats.affine import Differences, Ratios
from control.stats.events import Tally
from control.stats.mixture import ODDS
from control.stats.wealth import pack, unpack

Floats = npt.NDArray[np.float64]

BLOCK_REQUESTS: Final = 20
BLOCK_SECONDS: Final = 10.0
_RATIOS: Final = Ratios()
_DIFFERENCES: Final = Differences()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What both arms have counted since the experiment began, the variant first: requests, and failures."""

    n: tuple[int, int] = (0, 0)
    x: tuple[int, int] = (0, 0)


def _zeros(size: int) -> Floats:
    return np.zeros(size)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """One variant against control. Arrays hold what every member of a grid has won, as logarithms."""

    taken: Seen = field(default_factory=Seen)
    """What has been taken in."""
    opened_at: float = 0.0
    """When the open block began, in steady seconds."""
    worse: Floats = field(default_factory=lambda: _zeros(ODDS.size))
    better: Floats = field(default_factory=lambda: _zeros(ODDS.size))
    ratios: Floats = field(default_factory=lambda: _zeros(Ratios.size))
    differences: Floats = field(default_factory=lambda: _zeros(Differences.size))
    tally: Tally = field(default_factory=Tally)

    @property
    def log_e_worse(self) -> float:
        """Logarithm of the e-value against "it fails no more than control"."""
        return ODDS.log_e(self.worse)

    @property
    def log_e_better(self) -> float:
        """Logarithm of the e-value against "control fails no more than it"."""
        return ODDS.log_e(self.better)

    def observe(self, seen: Seen, *, now: float, phi: float = 1.0) -> Comparison:
        """Take in cumulative counts; the same ones twice count once.

        A block ends by numbers of requests and time only: at twenty requests, or after ten seconds.

        Args:
            phi: how much more keys differ than chance would have it; the evidence is divided by it.
        """
        grown = (seen.n[0] - self.taken.n[0], seen.n[1] - self.taken.n[1])
        if min(grown) < 0:
            return self
        if sum(grown) == 0:
            return replace(self, opened_at=now)
        if sum(grown) < BLOCK_REQUESTS and now - self.opened_at < BLOCK_SECONDS:
            return self
        # Requests of earlier blocks may end in this one: what does not fit waits for the next.
        x = [min(max(0, seen.x[i] - self.taken.x[i]), grown[i]) for i in (0, 1)]
        taken = Seen(n=seen.n, x=(self.taken.x[0] + x[0], self.taken.x[1] + x[1]))
        block = (grown[0], grown[1], x[0], x[1])
        turned = (grown[1], grown[0], x[1], x[0])
        both = grown[0] > 0 and grown[1] > 0
        return Comparison(
            taken=taken,
            opened_at=now,
            worse=self.worse + (ODDS.log_increments(*block) / phi if both else 0.0),
            better=self.better + (ODDS.log_increments(*turned) / phi if both else 0.0),
            ratios=self.ratios + _RATIOS.log_increments(*block) / phi,
            differences=self.differences + _DIFFERENCES.log_increments(*block) / phi,
            tally=self.tally.add(*block),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; nothing is rounded."""
        return {
            "n": list(self.taken.n),
            "x": list(self.taken.x),
            "opened_at": self.opened_at,
            "worse": pack(self.worse),
            "better": pack(self.better),
            "ratios": pack(self.ratios),
            "differences": pack(self.differences),
            "tally": self.tally.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        (n, m), (x, y) = data["n"], data["x"]
        return cls(
            taken=Seen(n=(n, m), x=(x, y)),
            opened_at=data["opened_at"],
            worse=unpack(data["worse"]),
            better=unpack(data["better"]),
            ratios=unpack(data["ratios"]),
            differences=unpack(data["differences"]),
            tally=Tally.from_json(data["tally"]),
        )
