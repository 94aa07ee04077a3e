"""Bets on one arm alone: its rate is above, or below, a fixed limit.

For a yes/no event with conditional probability theta_i given the past, and q > p0,

    log e = x log(q / p0) + (n - x) log((1 - q) / (1 - p0))

is a likelihood ratio whose expectation is linear in theta_i and one at p0, hence at most one for every
theta_i <= p0; with q < p0 the same holds for theta_i >= p0. So nothing has to be constant over time.
References: Ville 1939; Robbins 1970 (mixtures of likelihood ratios).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from control.stats.affine import LOG_SAFE_WEIGHT, SAFE_SHARES
from control.stats.logspace import log_sum_exp

Floats = npt.NDArray[np.float64]


def harm_grid(limit: float) -> tuple[Floats, Floats]:
    """Rates above the limit that are bet on, and logarithms of their weights, each of shape (16,)."""
    highest = max(0.999, (1.0 + limit) / 2.0)
    q = np.minimum(limit + (1.0 - limit) * np.geomspace(0.2 * limit, 0.97, 16), highest)
    weights = (q / limit) ** (-2.0 / 3.0)
    return q, np.log(weights / weights.sum())


class Above:
    """Bets that the canary's rate is above a limit. Control is not looked at."""

    def __init__(self, limit: float, grid: tuple[Floats, Floats] | None = None) -> None:
        self.limit = limit
        q, self._log_weights = harm_grid(limit) if grid is None else grid
        self.size = len(q)
        self.key = f"above:{limit:g}:{self.size}"
        self._log_bad = np.log(q / limit)
        self._log_good = np.log1p(-q) - np.log1p(-limit)

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:  # noqa: ARG002
        """Logarithms of one block's e-values, shape (size,)."""
        result: Floats = x_c * self._log_bad + (n_c - x_c) * self._log_good
        return result

    def log_increments_of(self, blocks: npt.NDArray[np.int64]) -> Floats:
        """The same for many blocks, rows of n_c, n_t, x_c, x_t; shape (B, size)."""
        n_c, x_c = blocks[:, :1], blocks[:, 2:3]
        result: Floats = x_c * self._log_bad + (n_c - x_c) * self._log_good
        return result

    def log_e(self, values: Floats) -> float:
        """Logarithm of the mixture over the grid."""
        return float(log_sum_exp(values + self._log_weights))

    def log_e_of(self, values: Floats) -> Floats:
        """The same of many mixtures, shape (...), from values of shape (..., size)."""
        return log_sum_exp(values + self._log_weights)


class Below:
    """Bets that the canary's rate is below a limit, for several limits at once."""

    def __init__(self, limits: Sequence[float]) -> None:
        self.limits = tuple(limits)
        self.size = len(limits) * len(SAFE_SHARES)
        self.key = "below:" + ",".join(f"{limit:g}" for limit in limits)
        p0 = np.repeat(limits, len(SAFE_SHARES))
        shares = np.tile(SAFE_SHARES, len(limits))
        self._log_bad = np.log(shares)
        self._log_good = np.log1p(-p0 * shares) - np.log1p(-p0)

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:  # noqa: ARG002
        """Logarithms of one block's e-values, shape (12 for each limit,)."""
        result: Floats = x_c * self._log_bad + (n_c - x_c) * self._log_good
        return result

    def log_increments_of(self, blocks: npt.NDArray[np.int64]) -> Floats:
        """The same for many blocks, rows of n_c, n_t, x_c, x_t; shape (B, size)."""
        n_c, x_c = blocks[:, :1], blocks[:, 2:3]
        result: Floats = x_c * self._log_bad + (n_c - x_c) * self._log_good
        return result

    def log_e(self, values: Floats) -> list[float]:
        """Logarithm of the mixture for each limit, in the order in which they were given."""
        result: list[float] = self.log_e_of(values).tolist()
        return result

    def log_e_of(self, values: Floats) -> Floats:
        """Logarithms of many mixtures, shape (..., limits), from values of shape (..., size)."""
        by_limit = values.reshape(*values.shape[:-1], len(self.limits), len(SAFE_SHARES))
        result: Floats = log_sum_exp(by_limit) + LOG_SAFE_WEIGHT
        return result


def one_sample_log_e(n: int, x: int, limit: float) -> float:
    """Logarithm of the mixture e-value against "the rate is at most `limit`" after x events in n requests."""
    bet = Above(limit)
    return bet.log_e(bet.log_increments(n, 0, x, 0))


# An arm of which at least every second request fails is broken whatever its release is meant to do.
BROKEN_FROM: Final = 0.5
# Mostly bets on "everything fails", so that fourteen failures in a row suffice for the threshold below.
BROKEN: Final = Above(BROKEN_FROM, (np.array([0.8, 0.95, 0.999]), np.log([0.1, 0.2, 0.7])))
# An arm that fails every second time gets there with a chance of at most one in ten thousand.
LOG_BROKEN: Final = float(np.log(1e4))
