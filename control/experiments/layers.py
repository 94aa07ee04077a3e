"""Gives experiments of one layer parts of its keys that do not overlap. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# A gap smaller than this is one that rounding left.
_ROUNDING: Final = 1e-9


def free_range(share: float, taken: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    """The lowest part of [0, 1) of this size that is free; None when there is none.

    >>> free_range(0.25, [(0.0, 0.5)])
    (0.5, 0.75)
    """
    start = 0.0
    for low, high in sorted(taken):
        if low - start >= share - _ROUNDING:
            break
        start = max(start, high)
    end = start + share
    return (start, min(1.0, end)) if end <= 1.0 + _ROUNDING else None
