"""Scores of which only the highest matters: the class that a model chose."""

from __future__ import annotations

from typing import Any

from proxy.compare.findings import Findings


def arg_max(scores: Any) -> Any:
    """The place of the highest score: the index in a list, the key of an object; None when there is none.

    Of equal scores the first wins, in an object the first by name, so that the order of keys is of no effect.
    """
    if isinstance(scores, dict):
        numbers = {key: value for key, value in scores.items() if is_number(value)}
        return max(sorted(numbers), key=lambda key: numbers[key]) if numbers else None
    if isinstance(scores, list) and scores and all(is_number(score) for score in scores):
        return max(range(len(scores)), key=lambda index: scores[index])
    return None


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare_labels(path: tuple[str, ...], primary: Any, shadow: Any, findings: Findings) -> bool:
    """Compare two lists of scores by the class they name; False when they are none, so others must judge.

    Lists of lists are one decision each.
    """
    if _rows(primary) and _rows(shadow):
        if len(primary) != len(shadow):
            findings.add(path, "length", len(primary), len(shadow))
            return True
        return all(
            compare_labels((*path, "*"), first, second, findings)
            for first, second in zip(primary, shadow, strict=True)
        )
    first, second = arg_max(primary), arg_max(shadow)
    if first is None or second is None:
        return False
    if first != second:
        findings.add(path, "label", first, second)
    return True


def _rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, list) for row in value)
