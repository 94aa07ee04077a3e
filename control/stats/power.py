"""How many requests a decision takes, before and while they come in.

References: Wald 1947 (the limit of any sequential test); Fleiss 1981 (the fixed sample size).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy.special import ndtri

from control.stats.affine import SAFE_SHARES

# Mean requests over the limit, measured: the mixture over margins and effects, and the overshoot.
PROMOTION_FACTOR: Final = 1.6
ROLLBACK_FACTOR: Final = 1.5


def kl(p: float, q: float) -> float:
    """Kullback-Leibler divergence of two yes/no laws, in nats."""
    found = 0.0
    if p > 0:
        found += p * math.log(p / q)
    if p < 1:
        found += (1.0 - p) * (math.log1p(-p) - math.log1p(-q))
    return found


def rollback_limit(p0: float, p1: float, rho: float, alpha: float) -> float:
    """Mean canary requests no valid test can undercut that must learn control's rate p0 concurrently."""
    mean = rho * p1 + (1.0 - rho) * p0
    information = rho * kl(p1, mean) + (1.0 - rho) * kl(p0, mean)
    return math.log(1.0 / alpha) * rho / information if information > 0 else math.inf


def rollback_requests(p0: float, p1: float, rho: float, alpha: float) -> float:
    """About how many canary requests a rollback takes when the canary fails with p1 and control with p0."""
    return ROLLBACK_FACTOR * rollback_limit(p0, p1, rho, alpha)


def promotion_requests(p0: float, m: float, delta: float, alpha: float) -> float:
    """About how many canary requests it takes to show an equal canary below m p0 + delta."""
    margin = m * p0 + delta
    if margin <= p0:
        return math.inf
    information = (p0 * math.log(p0 / margin) if p0 > 0 else 0.0) + margin - p0
    return PROMOTION_FACTOR * math.log(1.0 / alpha) / information


def safe_growth(p_c: float, p_t: float, rho: float, m: float, delta: float) -> float:
    """The most that a canary request adds to log e of a safe bet when the rates are p_c and p_t."""
    r = m * SAFE_SHARES
    c = (1.0 + rho * (m - 1.0)) / (1.0 + rho * (r - 1.0))
    a = c * r / m
    growth = p_c * np.log(a) + p_t * (1.0 - rho) / rho * np.log(c) - delta * (a - 1.0)
    return float(growth.max())


def safe_requests(p_c: float, p_t: float, rho: float, m: float, delta: float, alpha: float) -> float:
    """About how many canary requests a safe bet takes; infinite when the margin does not allow it."""
    growth = safe_growth(p_c, p_t, rho, m, delta)
    return PROMOTION_FACTOR * math.log(1.0 / alpha) / growth if growth > 1e-12 else math.inf


def below_requests(p: float, limit: float, alpha: float) -> float:
    """About how many requests it takes to show a rate p below a limit, without control."""
    information = kl(p, limit) if p < limit else 0.0
    return PROMOTION_FACTOR * math.log(1.0 / alpha) / information if information > 1e-12 else math.inf


def fixed_requests(p0: float, p1: float, ratio: float, alpha: float, power: float = 0.8) -> float:
    """Canary requests of a one-sided z-test looked at once, with `ratio` control requests for each."""
    mean = (p1 + ratio * p0) / (1.0 + ratio)
    z_alpha, z_power = float(ndtri(1.0 - alpha)), float(ndtri(power))
    spread = z_alpha * math.sqrt(mean * (1.0 - mean) * (1.0 + 1.0 / ratio)) + z_power * math.sqrt(
        p1 * (1.0 - p1) + p0 * (1.0 - p0) / ratio
    )
    return (spread / (p1 - p0)) ** 2
