"""Requests, failures and slow answers by group of keys, over all stages of a rollout.

Users stay from stage to stage, most of them at their arm, so how much they differ is asked of all stages
together: evidence of one stage is not independent of that of the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from control.stats.overdispersion import Phi, phi_by_place
from control.stats.wealth import pack, unpack
from proxy.counters import GROUPS, TIME_CLASSES

Counts = npt.NDArray[np.int64]
SHAPE: Final = (2, 2 + TIME_CLASSES, GROUPS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keys:
    """Each array by arm, canary first, by what is counted (`control.stats.overdispersion.phi_by_place`), and
    by group: shape (2, 8, 64)."""

    earlier: Counts
    """Of the stages that have ended."""
    current: Counts

    def counted(self, current: Counts) -> Keys:
        """With what the current stage has counted so far."""
        return replace(self, current=current)

    def ended(self) -> Keys:
        """With the current stage among the earlier ones."""
        return Keys(earlier=self.earlier + self.current, current=np.zeros_like(self.current))

    def phi(self) -> Phi:
        """How much more keys differ than requests would; 1 where no key was counted."""
        return phi_by_place(self.earlier + self.current)

    def to_json(self) -> list[str]:
        """Plain JSON values; counts as doubles, which are exact far beyond what can be counted."""
        return [pack(part.astype(np.float64)) for part in (self.earlier, self.current)]

    @classmethod
    def from_json(cls, data: list[str]) -> Self:
        """The inverse of `to_json`."""
        earlier, current = (unpack(part).astype(np.int64).reshape(SHAPE) for part in data)
        return cls(earlier=earlier, current=current)


NO_KEYS: Final = Keys(earlier=np.zeros(SHAPE, dtype=np.int64), current=np.zeros(SHAPE, dtype=np.int64))
