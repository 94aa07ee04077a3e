"""Vectors, compared by the angle between them."""

from __future__ import annotations

import math
from typing import Any

from proxy.compare.findings import Findings
from proxy.compare.labels import is_number


def cosine(first: list[float], second: list[float]) -> float:
    """The cosine of the angle between two vectors of equal length; two zero vectors point the same way."""
    # Scaled first: squares of very large or small numbers leave the range of a float.
    first, second = scaled(first), scaled(second)
    lengths = math.sqrt(math.fsum(x * x for x in first)) * math.sqrt(math.fsum(y * y for y in second))
    if lengths == 0.0:
        return 1.0 if not any(first) and not any(second) else 0.0
    return math.fsum(x * y for x, y in zip(first, second, strict=True)) / lengths


def scaled(vector: list[float]) -> list[float]:
    """The vector with its largest coordinate made one."""
    largest = max((abs(x) for x in vector), default=0)
    return [x / largest for x in vector] if largest else [0.0] * len(vector)


def compare_embeddings(
    path: tuple[str, ...], primary: Any, shadow: Any, least: float, findings: Findings
) -> bool:
    """Compare two vectors, or lists of them; False when they are none, so others must judge."""
    if not isinstance(primary, list) or not isinstance(shadow, list) or not primary or not shadow:
        return False
    if all(isinstance(row, list) for row in (*primary, *shadow)):
        if len(primary) != len(shadow):
            findings.add(path, "length", len(primary), len(shadow))
            return True
        return all(
            compare_embeddings((*path, "*"), first, second, least, findings)
            for first, second in zip(primary, shadow, strict=True)
        )
    if not all(is_number(x) for x in (*primary, *shadow)):
        return False
    if len(primary) != len(shadow):
        findings.add(path, "length", len(primary), len(shadow))
        return True
    if primary == shadow:
        return True
    try:
        alike = cosine(primary, shadow)
    except OverflowError:
        return False
    if alike < least:
        findings.add(path, "embedding", None, round(alike, 6))
    return True
