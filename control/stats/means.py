"""The difference of two means: an asymptotic confidence sequence, for display only.

A variance estimated from a small canary misses the tail of a skewed metric; deciding on it would roll back
7 to 35 % of innocent releases. So the variance is pooled over both arms, fewer than a thousand values an
arm give no interval, and decisions count threshold exceedances instead.

References: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024 (asymptotic confidence sequences).
"""

from __future__ import annotations

import math
from typing import Final

VALUES_MIN: Final = 1000


def half_width(variance: float, n: float, alpha: float, tuned_for: float = 5000.0) -> float:
    """Half the width of the two-sided sequence for a mean of n values with this variance of one value.

    `tuned_for` is the sample size at which it is narrowest.
    """
    rho2 = (-2.0 * math.log(alpha) + math.log(-2.0 * math.log(alpha) + 1.0)) / tuned_for
    inside = n * rho2 + 1.0
    return math.sqrt(variance * 2.0 * inside / (n * n * rho2) * math.log(math.sqrt(inside) / alpha))


def half_width_one_sided(variance: float, n: float, alpha: float, tuned_for: float = 5000.0) -> float:
    """The same for a bound on one side only."""
    doubled = -2.0 * math.log(2.0 * alpha)
    rho2 = (doubled + math.log(doubled + 1.0)) / tuned_for
    inside = n * rho2 + 1.0
    return math.sqrt(variance * 2.0 * inside / (n * n * rho2) * math.log1p(math.sqrt(inside) / (2.0 * alpha)))


def mean_difference(
    arm_c: tuple[int, float, float], arm_t: tuple[int, float, float], alpha: float
) -> tuple[float, float, float] | None:
    """Difference of means with its interval, or None with fewer than a thousand values in an arm.

    Args:
        arm_c, arm_t: count, sum and sum of squares of the canary's and of control's values.

    Returns:
        Estimate, low end, high end.
    """
    n_c, sum_c, square_c = arm_c
    n_t, sum_t, square_t = arm_t
    if min(n_c, n_t) < VALUES_MIN:
        return None
    mean_c, mean_t = sum_c / n_c, sum_t / n_t
    spread = max(0.0, square_c - n_c * mean_c**2) + max(0.0, square_t - n_t * mean_t**2)
    variance = spread / (n_c + n_t - 2)
    n = n_c + n_t
    # The standard error of the difference, written as that of a mean of n values.
    half = half_width(n * variance * (1.0 / n_c + 1.0 / n_t), n, alpha)
    estimate = mean_c - mean_t
    return estimate, estimate - half, estimate + half
