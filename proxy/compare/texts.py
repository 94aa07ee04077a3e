"""Texts, compared by how much of one has to be edited to get the other.

References: Levenshtein 1966; the bit-parallel form of Myers 1999 as simplified by Hyyrö 2003, which fits
Python's long integers: a column of the table is one number.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from typing import Final

# Ten milliseconds for two texts of this length; longer ones are compared word by word, and no further.
UNITS_MAX: Final = 8192


def normalised(text: str) -> str:
    """The text without differences of case, white space and composition."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The least number of units to insert, delete or replace (Levenshtein)."""
    if len(first) < len(second):
        first, second = second, first
    size = len(second)
    if not size:
        return len(first)
    masks: dict[Hashable, int] = {}
    for place, unit in enumerate(second):
        masks[unit] = masks.get(unit, 0) | 1 << place
    every = (1 << size) - 1
    last = 1 << size - 1
    rising, falling, result = every, 0, size
    for unit in first:
        equal = masks.get(unit, 0)
        diagonal = (((equal & rising) + rising) ^ rising) | equal | falling
        across_up = falling | (every & ~(diagonal | rising))
        across_down = rising & diagonal
        if across_up & last:
            result += 1
        elif across_down & last:
            result -= 1
        across_up = (across_up << 1 | 1) & every
        across_down = (across_down << 1) & every
        rising = across_down | (every & ~(diagonal | across_up))
        falling = across_up & diagonal
    return result


def similarity(first: str, second: str) -> float:
    """From 0 (nothing in common) to 1 (the same but for case and spaces); symmetric."""
    first, second = normalised(first), normalised(second)
    if first == second:
        return 1.0
    units: tuple[Sequence[Hashable], Sequence[Hashable]] = (first, second)
    if max(len(first), len(second)) > UNITS_MAX:
        units = (first.split(" ")[:UNITS_MAX], second.split(" ")[:UNITS_MAX])
    longest = max(len(units[0]), len(units[1]))
    return 1.0 - distance(*units) / longest
