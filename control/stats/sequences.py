"""Confidence sequences: intervals that hold at every look at once, so they may be watched.

Each collects the parameter values that an e-process has not rejected (its value stays below 1 / alpha); the
true value is ever rejected with a chance of at most alpha (Ville 1939).

References:
    Robbins 1970 (mixtures); Howard, Ramdas, McAuliffe and Sekhon 2021 (beta-binomial mixture).
    Howard and Ramdas 2022 (quantiles by bounding the distribution function at fixed points).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from control.stats.affine import LOG_SAFE_WEIGHT, SAFE_SHARES, Ratios
from control.stats.mixture import LOG_PSI_WEIGHTS

Floats = npt.NDArray[np.float64]

_LOG_BETA_HALF: Final = float(betaln(0.5, 0.5))
# Newton's method needs about eight; the bound only guards against a surprise.
_ITERATIONS_MAX: Final = 200


def proportion_interval(x: int, n: int, alpha: float) -> tuple[float, float]:
    """Rates that a Beta(1/2, 1/2) mixture has not rejected: {p: log e(p) < log(1 / alpha)}.

    log e(p) = ln B(x + 1/2, n - x + 1/2) - ln B(1/2, 1/2) - x ln p - (n - x) ln(1 - p); (0, 1) without data.
    Assumes a rate that is constant, or reads as the average so far.
    """
    if n <= 0:
        return 0.0, 1.0
    level = math.log(1.0 / alpha) + _LOG_BETA_HALF - float(betaln(x + 0.5, n - x + 0.5))
    low = 0.0 if x == 0 else _lower_end(x, n, level)
    high = 1.0 if x == n else 1.0 - _lower_end(n - x, n, level)
    return low, high


def _lower_end(x: int, n: int, level: float) -> float:
    """The smaller root p of -x ln p - (n - x) ln(1 - p) = level.

    In u = ln p the left side is convex and falls up to the estimate, so Newton's method that begins to the
    left of the root stays there: every iterate is rejected, and the end errs on the wide side.
    """
    u = -level / x
    for _ in range(_ITERATIONS_MAX):
        p, rest = math.exp(u), -math.expm1(u)
        value = -x * u - (n - x) * math.log(rest)
        step = (value - level) / (x - (n - x) * p / rest)
        if not step > 1e-16 * abs(u):
            break
        u += step
    return math.exp(u)


def ratio_interval(log_likelihood: Floats, alpha: float) -> tuple[float, float | None]:
    """The risk ratio's interval from the sums of `Ratios`, shape (61,); None = no upper end yet.

    A ratio r0 is rejected from above when the mean of exp(l(r) - l(r0)) over the grid points r above it
    reaches 2 / alpha, and from below likewise; the ends are the grid points just outside of what is kept.
    """
    mean_above, mean_below = _one_sided_means(log_likelihood), _one_sided_means(log_likelihood[::-1])[::-1]
    limit = math.log(2.0 / alpha)
    # Whether r0 is too low (everything above explains the data better), or too high.
    too_low = np.flatnonzero(mean_above - log_likelihood >= limit)
    too_high = np.flatnonzero(mean_below - log_likelihood >= limit)
    low = float(Ratios.grid[too_low[-1]]) if len(too_low) else 0.0
    high = float(Ratios.grid[too_high[0]]) if len(too_high) else None
    return low, high


def _one_sided_means(values: Floats) -> Floats:
    """log of the mean of exp over all later entries, for each entry; minus infinity at the last."""
    sums = np.logaddexp.accumulate(values[::-1])[::-1]
    means = np.full_like(values, -np.inf)
    means[:-1] = sums[1:] - np.log(np.arange(len(values) - 1, 0, -1))
    return means


def difference_interval(sums: Floats, alpha: float) -> tuple[float, float]:
    """The risk difference's interval, canary minus control, from the sums of `Differences`, shape (56,)."""
    fixed, slope = sums[: len(sums) // 2], sums[len(sums) // 2 :]
    k = len(SAFE_SHARES)
    limit = math.log(2.0 / alpha)
    low = _crossing(fixed[k:] + LOG_PSI_WEIGHTS, slope[k:], limit, start=-1.0)
    high = _crossing(fixed[:k] + LOG_SAFE_WEIGHT, slope[:k], limit, start=1.0)
    return low, high


def _crossing(fixed: Floats, slope: Floats, limit: float, *, start: float) -> float:
    """Where log sum exp(fixed - delta slope) falls to `limit` as delta leaves `start`; else `start`.

    The function of delta is convex, so Newton's method stays on the rejected side.
    """
    delta = start
    for _ in range(_ITERATIONS_MAX):
        terms = fixed - delta * slope
        top = float(terms.max())
        shares = np.exp(terms - top)
        total = float(shares.sum())
        above = math.log(total) + top - limit
        step = above * total / float((shares * slope).sum()) if above > 0 else 0.0
        if abs(step) < 1e-12:
            break
        delta += step
    return max(-1.0, min(1.0, delta))


def quantile_bounds(counts: npt.NDArray[np.int64], quantiles: Floats, alpha: float) -> npt.NDArray[np.int64]:
    """Buckets that a quantile may lie in, at every look at once.

    A bucket edge is rejected as the quantile when the share of requests at or below it is not the quantile's,
    by the mixture of `proportion_interval`. The true quantile lies between two neighbouring edges, so each
    end spends alpha / 2 and no union over edges is needed.

    Args:
        counts: a histogram, shape (B,).
        quantiles: levels in (0, 1), shape (Q,).

    Returns:
        First and last bucket for each quantile, shape (Q, 2); the whole range without data.
    """
    buckets = len(counts)
    filled = np.flatnonzero(counts)
    if not len(filled):
        return np.tile(np.array([0, buckets - 1]), (len(quantiles), 1))
    # Outside of the filled buckets the share below an edge is 0 or 1 all along: one edge stands for the rest.
    first, last = int(filled[0]), int(filled[-1])
    below = np.concatenate(([0.0], np.cumsum(counts[first : last + 1], dtype=np.float64)))
    n = below[-1]
    q = quantiles[:, None]
    log_e = (
        betaln(below + 0.5, n - below + 0.5) - _LOG_BETA_HALF - below * np.log(q) - (n - below) * np.log1p(-q)
    )
    rejected = log_e >= math.log(2.0 / alpha)
    # Edge i - 1 is the lower end of bucket i. A rejected edge with too small a share lies below the quantile.
    too_low = (rejected & (below / n < q)).sum(axis=1)
    too_high = (rejected & (below / n > q)).sum(axis=1)
    low = np.where(too_low > 0, first + too_low - 1, 0)
    high = np.where(too_high > 0, last + 1 - too_high, buckets - 1)
    return np.stack((low, high), axis=1)
