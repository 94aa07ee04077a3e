"""How soon a canary that is as good as control is shown to be, and how often one at the margin is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.decisions.figures import of_rate, of_requests
from control.judgement.observation import BLOCK_REQUESTS
from control.stats.affine import Safe

ALPHA = 0.05
PACE = 100.0
"""Requests a second of both arms."""
SECONDS = 7200
# Control's rate, the canary's weight, the margin: a ratio and a rise.
MARGINS = (
    (0.01, 0.05, 1.5, 0.0),
    (0.01, 0.05, 2.0, 0.0),
    (0.05, 0.05, 1.25, 0.0),
    (0.001, 0.05, 1.0, 0.005),
    (0.001, 0.05, 1.2, 0.002),
    (0.01, 0.1, 1.2, 0.005),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionCell:
    """One margin, and a canary that is either as good as control or exactly at it."""

    group: Literal["promotion", "margin"]
    rate: float
    weight: float
    ratio: float
    rise: float
    runs: int
    goal: float

    @property
    def name(self) -> str:
        """What it is, in words."""
        who = "as good" if self.group == "promotion" else "at the margin"
        margin = f"margin x {self.ratio:g} + {self.rise:.1%}"
        return f"{who}: {self.rate:.1%} fail, weight {self.weight:.0%}, {margin}"

    @property
    def limit(self) -> float:
        """Canary requests that no test can do with on average when control's rate is known (Wald)."""
        most = self.ratio * self.rate + self.rise
        return math.log(1.0 / ALPHA) / (self.rate * math.log(self.rate / most) + most - self.rate)

    def run(self, runs: int, seed: int, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Simulate and sum up; plain JSON values."""
        requests, seconds = self._shown(runs, np.random.default_rng(seed), progress)
        done = requests >= 0
        kept = {"group": self.group, "runs": runs, "alpha": ALPHA, "goal": self.goal}
        if self.group == "margin":
            return kept | of_rate(int(done.sum()), runs)
        return kept | of_requests(requests[done], seconds[done], runs=runs, limit=self.limit)

    def _shown(
        self, runs: int, rng: np.random.Generator, progress: Callable[[int, int], None]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Canary requests and seconds until the absence of harm is shown; -1 where it never is."""
        bet = Safe([(self.ratio, self.rise)])
        canary = self.rate if self.group == "promotion" else self.ratio * self.rate + self.rise
        rates = np.array([canary, self.rate])
        shares = PACE * np.array([self.weight, 1.0 - self.weight])
        won, block = np.zeros((runs, bet.size)), np.zeros((runs, 4), dtype=np.int64)
        requests, shown, after = (np.full(runs, start, dtype=np.int64) for start in (0, -1, -1))
        for second in range(SECONDS):
            going = np.flatnonzero(shown < 0)
            if not len(going):
                break
            n = rng.poisson(shares, (len(going), 2))
            block[going] += np.concatenate((n, rng.binomial(n, rates)), axis=1)
            requests[going] += n[:, 0]
            due = going[block[going, :2].sum(axis=1) >= BLOCK_REQUESTS]
            won[due] += bet.log_increments_of(block[due])
            block[due] = 0
            reached = due[bet.log_e_of(won[due])[:, 0] >= math.log(1.0 / ALPHA)]
            shown[reached], after[reached] = requests[reached], second + 1
            if second % 60 == 0:
                progress(second, SECONDS)
        return shown, after
