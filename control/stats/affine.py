"""Bets against a margin: the canary's rate lies below, or above, a multiple of control's plus an offset.

For outcomes in [0, 1], a block with canary share rho, a tolerated ratio m, an offset delta and a bet on the
ratio r,

    c = (1 + rho (m - 1)) / (1 + rho (r - 1)),   a = c r / m,
    log e = x_c log a + x_t log c - n_c delta (a - 1).

*Why E[e] <= 1.* For Y in [0, 1], a**Y <= 1 + Y (a - 1) and 1 + u <= exp(u), so with mean rates theta the
expectation is at most exp(n_c theta_c (a - 1) + n_t theta_t (c - 1) - n_c delta (a - 1)). For r > m, a >
1, and theta_c <= m theta_t + delta leaves exp(theta_t (n_c m (a - 1) + n_t (c - 1))); for r < m, a < 1,
and the opposite null leaves the same. The bracket is zero by the choice of c. Nothing else is assumed of
the outcomes.

r > m bets on harm, r < m on its absence. With no canary failure at all the latter grows by about delta a
request, so log(1/alpha)/delta requests suffice (the rule of three).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from control.stats.logspace import log_sum_exp
from control.stats.mixture import LOG_PSI_WEIGHTS, PSI

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# How far below the margin the canary may be: equal weights, since nobody knows how good a release is.
SAFE_SHARES: Final[Floats] = np.array([0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.03, 0.005])
LOG_SAFE_WEIGHT: Final = -float(np.log(len(SAFE_SHARES)))


def affine_log_e(
    n_c: float | Counts,
    n_t: float | Counts,
    x_c: float | Counts,
    x_t: float | Counts,
    r: Floats,
    m: float | Floats,
    delta: float | Floats,
) -> Floats:
    """Logarithms of one block's e-values for bets r against the margin (m, delta); shapes broadcast.

    `x_c` and `x_t` may be sums of scores in [0, 1] instead of counts.
    """
    rho = n_c / (n_c + n_t)
    c = (1.0 + rho * (m - 1.0)) / (1.0 + rho * (r - 1.0))
    a = c * r / m
    result: Floats = x_c * np.log(a) + x_t * np.log(c) - n_c * delta * (a - 1.0)
    return result


def _affine_of(blocks: Counts, r: Floats, m: float | Floats, delta: float | Floats) -> Floats:
    """Logarithms of many blocks' e-values, shape (B, K), from rows of n_c, n_t, x_c, x_t.

    They are zero where an arm is empty.
    """
    found = np.zeros((len(blocks), len(r)))
    both = (blocks[:, 0] > 0) & (blocks[:, 1] > 0)
    n_c, n_t, x_c, x_t = blocks[both].T[:, :, None]
    found[both] = affine_log_e(n_c, n_t, x_c, x_t, r, m, delta)
    return found


class Harm:
    """Bets that the canary's rate exceeds m times control's plus delta."""

    def __init__(self, m: float, delta: float) -> None:
        self.m, self.delta = m, delta
        self.size = len(PSI)
        self.key = f"harm:{m:g}:{delta:g}"
        self._r = m * PSI

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:
        """Logarithms of one block's e-values, shape (16,); zero when an arm is empty."""
        if n_c <= 0 or n_t <= 0:
            return np.zeros(self.size)
        return affine_log_e(n_c, n_t, x_c, x_t, self._r, self.m, self.delta)

    def log_increments_of(self, blocks: Counts) -> Floats:
        """The same for many blocks, shape (B, 16)."""
        return _affine_of(blocks, self._r, self.m, self.delta)

    @staticmethod
    def log_e(values: Floats) -> float:
        """Logarithm of the mixture over the grid."""
        return float(log_sum_exp(values + LOG_PSI_WEIGHTS))

    @staticmethod
    def log_e_of(values: Floats) -> Floats:
        """The same of many mixtures, shape (...), from values of shape (..., 16)."""
        return log_sum_exp(values + LOG_PSI_WEIGHTS)


class Safe:
    """Bets that the canary's rate is below m times control's plus delta, for several margins at once."""

    def __init__(self, margins: Sequence[tuple[float, float]]) -> None:
        self.margins = tuple(margins)
        self.size = len(margins) * len(SAFE_SHARES)
        self.key = "safe:" + ",".join(f"{m:g}+{delta:g}" for m, delta in margins)
        self._m = np.repeat([m for m, _ in margins], len(SAFE_SHARES))
        self._delta = np.repeat([delta for _, delta in margins], len(SAFE_SHARES))
        self._r = self._m * np.tile(SAFE_SHARES, len(margins))

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:
        """Logarithms of one block's e-values, shape (12 for each margin,); zero when an arm is empty."""
        if n_c <= 0 or n_t <= 0:
            return np.zeros(self.size)
        return affine_log_e(n_c, n_t, x_c, x_t, self._r, self._m, self._delta)

    def log_increments_of(self, blocks: Counts) -> Floats:
        """The same for many blocks, shape (B, 12 for each margin)."""
        return _affine_of(blocks, self._r, self._m, self._delta)

    def log_e_of(self, values: Floats) -> Floats:
        """Logarithms of many mixtures, shape (..., margins), from values of shape (..., size)."""
        by_margin = values.reshape(*values.shape[:-1], len(self.margins), len(SAFE_SHARES))
        result: Floats = log_sum_exp(by_margin) + LOG_SAFE_WEIGHT
        return result

    def log_e(self, values: Floats) -> list[float]:
        """Logarithm of the mixture for each margin, in the order in which they were given."""
        result: list[float] = self.log_e_of(values).tolist()
        return result


class Ratios:
    """The sums behind the interval of the risk ratio: a log-likelihood on a grid of ratios.

    l(r) = x_c log r - X log(1 + rho (r - 1)): given X events in a block, each falls to the canary with chance
    rho r / (1 + rho (r - 1)) when its rate is r times control's (the Poisson form of the conditional law).
    """

    grid: Final[Floats] = np.exp(np.linspace(np.log(0.05), np.log(20.0), 61))
    size: Final = 61
    key: Final = "ratios"

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:
        """One block's log-likelihood on the grid, shape (61,)."""
        if n_c <= 0 or n_t <= 0 or x_c + x_t == 0:
            return np.zeros(self.size)
        rho = n_c / (n_c + n_t)
        result: Floats = x_c * _LOG_GRID - (x_c + x_t) * np.log1p(rho * (self.grid - 1.0))
        return result

    def log_increments_of(self, blocks: Counts) -> Floats:
        """The same for many blocks, shape (B, 61)."""
        found = np.zeros((len(blocks), self.size))
        both = (blocks[:, 0] > 0) & (blocks[:, 1] > 0)
        n_c, n_t, x_c, x_t = blocks[both].T[:, :, None]
        found[both] = x_c * _LOG_GRID - (x_c + x_t) * np.log1p(n_c / (n_c + n_t) * (self.grid - 1.0))
        return found


_LOG_GRID: Final[Floats] = np.log(Ratios.grid)


class Differences:
    """The sums behind the interval of the risk difference: at m = 1 log e is linear in delta.

    Holds, for each bet r of both directions, the part without delta and the factor of delta.
    """

    r: Final[Floats] = np.concatenate((SAFE_SHARES, PSI))
    size: Final = 2 * (len(SAFE_SHARES) + len(PSI))
    key: Final = "differences"

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:
        """One block's sums: log e at delta = 0, then n_c (a - 1); shape (56,)."""
        if n_c <= 0 or n_t <= 0:
            return np.zeros(self.size)
        rho = n_c / (n_c + n_t)
        log_c = -np.log1p(rho * (self.r - 1.0))
        log_a = log_c + _LOG_R
        return np.concatenate((x_c * log_a + x_t * log_c, n_c * np.expm1(log_a)))

    def log_increments_of(self, blocks: Counts) -> Floats:
        """The same for many blocks, shape (B, 56)."""
        found = np.zeros((len(blocks), self.size))
        both = (blocks[:, 0] > 0) & (blocks[:, 1] > 0)
        n_c, n_t, x_c, x_t = blocks[both].T[:, :, None]
        log_c = -np.log1p(n_c / (n_c + n_t) * (self.r - 1.0))
        log_a = log_c + _LOG_R
        found[both] = np.concatenate((x_c * log_a + x_t * log_c, n_c * np.expm1(log_a)), axis=1)
        return found


_LOG_R: Final[Floats] = np.log(Differences.r)
