"""After promotion: an alarm that can ring at any time, and falsely once a week at most.

There is no control any more, so the canary is compared with a frozen baseline. For each alternative k the
statistic R_k <- (1 + R_k) LR_k starts anew before every tick; the sum over k of w_k R_k less the number of
ticks is a supermartingale under the null, so the mean time to a false alarm is at least the threshold in
ticks.

References: Shiryaev 1963; Roberts 1966; Shin, Ramdas and Rinaldo 2024 (e-detectors).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from control.stats.logspace import log_sum_exp
from control.stats.one_sample import Above, harm_grid

Floats = npt.NDArray[np.float64]

# Ticks of one second in a week.
TICKS_TO_FALSE_ALARM: Final = 604_800


class Watch:
    """Watches one arm against "its rate is at most `limit`". Its state is R, kept by the caller."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._bet = Above(limit)
        self._log_weights = harm_grid(limit)[1]

    def begin(self) -> Floats:
        """Logarithms of R before any data, shape (16,)."""
        return np.full(self._bet.size, -np.inf)

    def absorb(self, log_r: Floats, n: int, x: int) -> Floats:
        """R after one more tick with x events in n requests; a tick without requests changes nothing."""
        if n == 0:
            return log_r
        result: Floats = np.logaddexp(0.0, log_r) + self._bet.log_increments(n, 0, x, 0)
        return result

    def log_value(self, log_r: Floats) -> float:
        """Logarithm of the statistic that is compared with the threshold."""
        if not np.isfinite(log_r).any():
            return -math.inf
        return float(log_sum_exp(log_r + self._log_weights))


def frozen_limit(x: int, n: int, ratio: float, rise: float) -> float:
    """The limit of a watch: the baseline's rate with one event added for what was not seen, times a
    margin."""
    return min(0.9, ratio * (x + 1.0) / (n + 2.0) + rise)
