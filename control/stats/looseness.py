"""Margins of early steps: what must be excluded before widening is looser the less traffic is at risk.

All margins read the same data and are judged at any time, so asking for several costs no multiplicity: the
final one alone bounds the chance of promoting a bad canary.
"""

from __future__ import annotations

from typing import Final

FACTORS: Final = (1.0, 2.0, 4.0, 8.0)
"""Multiples of the final margin: the last comparison, the one before it, and so on."""

LEVELS: Final = len(FACTORS)


def margins(ratio: float, rise: float) -> list[tuple[float, float]]:
    """(ratio, rise) for each level of looseness, the final one first."""
    return [(1.0 + (ratio - 1.0) * factor, rise * factor) for factor in FACTORS]


def limits(limit: float) -> list[float]:
    """An absolute limit for each level of looseness, the final one first."""
    return [min(limit * factor, max(limit, 0.5)) for factor in FACTORS]
