"""Classical tests and intervals of proportions. Each is valid for one look only: shown, never decided by.

Looked at every second, a test at level 5 % rejects a true null in a third of all hours.

References:
    Wilson 1927; Newcombe 1998 (method 10, the difference of two Wilson intervals); Wald's interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy.special import ndtr, ndtri


@dataclass(frozen=True, slots=True, kw_only=True)
class ZTest:
    """A pooled two-proportion z-test."""

    z: float
    p: float
    """Two-sided."""


def quantile_of_normal(confidence: float) -> float:
    """The z that a two-sided interval of this confidence is wide."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    return float(ndtri(0.5 + confidence / 2.0))


def wilson(x: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion; (0, 1) without data."""
    if n <= 0:
        return 0.0, 1.0
    z2 = quantile_of_normal(confidence) ** 2
    p = x / n
    middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n)
    half = math.sqrt(z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n)
    # At the ends the interval touches them exactly; rounding must not push it past.
    return (0.0 if x == 0 else max(0.0, middle - half)), (1.0 if x == n else min(1.0, middle + half))


def newcombe(x_c: float, n_c: float, x_t: float, n_t: float, confidence: float = 0.95) -> tuple[float, float]:
    """An interval of the difference canary minus control, from the Wilson interval of each."""
    if n_c <= 0 or n_t <= 0:
        return -1.0, 1.0
    p_c, p_t = x_c / n_c, x_t / n_t
    low_c, high_c = wilson(x_c, n_c, confidence)
    low_t, high_t = wilson(x_t, n_t, confidence)
    difference = p_c - p_t
    return (
        difference - math.hypot(p_c - low_c, high_t - p_t),
        difference + math.hypot(high_c - p_c, p_t - low_t),
    )


def wald(x_c: float, n_c: float, x_t: float, n_t: float, confidence: float = 0.95) -> tuple[float, float]:
    """The textbook interval of the difference canary minus control; too narrow for few or rare events."""
    if n_c <= 0 or n_t <= 0:
        return -1.0, 1.0
    p_c, p_t = x_c / n_c, x_t / n_t
    half = quantile_of_normal(confidence) * math.sqrt(p_c * (1.0 - p_c) / n_c + p_t * (1.0 - p_t) / n_t)
    return p_c - p_t - half, p_c - p_t + half


def z_test(x_c: float, n_c: float, x_t: float, n_t: float) -> ZTest | None:
    """The pooled two-proportion test, z positive when the canary's rate is higher; None without variance."""
    if n_c <= 0 or n_t <= 0:
        return None
    pooled = (x_c + x_t) / (n_c + n_t)
    variance = pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_t)
    if variance <= 0:
        return None
    z = (x_c / n_c - x_t / n_t) / math.sqrt(variance)
    return ZTest(z=z, p=2.0 * float(ndtr(-abs(z))))


def one_look(x_c: int, n_c: int, x_t: int, n_t: int, confidence: float = 0.95) -> dict[str, Any]:
    """All of them for one table, as plain JSON values with their label."""
    test = z_test(x_c, n_c, x_t, n_t)
    return {
        "label": "fixed horizon: valid for one look only, not under continuous checking",
        "confidence": confidence,
        "canary": {"n": n_c, "x": x_c, "wilson": list(wilson(x_c, n_c, confidence))},
        "control": {"n": n_t, "x": x_t, "wilson": list(wilson(x_t, n_t, confidence))},
        "difference": {
            "newcombe": list(newcombe(x_c, n_c, x_t, n_t, confidence)),
            "wald": list(wald(x_c, n_c, x_t, n_t, confidence)),
        },
        "z": None if test is None else test.z,
        "p": None if test is None else test.p,
    }
