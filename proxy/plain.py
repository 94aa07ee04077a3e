"""Reads typed values out of plain JSON and says where one is missing or of the wrong type."""

from __future__ import annotations

from collections.abc import Mapping


class PlainError(ValueError):
    """A plain value does not have the shape its reader needs: where, and what is wrong."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


def mapping(value: object, place: str) -> Mapping[str, object]:
    """Return `value` as a JSON object with string keys."""
    if not isinstance(value, dict):
        raise PlainError(place, f"must be an object, not {_name(value)}")
    for key in value:
        if not isinstance(key, str):
            raise PlainError(place, f"has a key that is not a string: {key!r}")
    return value


def items(value: object, place: str) -> list[object]:
    """Return `value` as a JSON array."""
    if not isinstance(value, list | tuple):
        raise PlainError(place, f"must be an array, not {_name(value)}")
    return list(value)


def text(value: object, place: str) -> str:
    """Return `value` as a string."""
    if not isinstance(value, str):
        raise PlainError(place, f"must be a string, not {_name(value)}")
    return value


def texts(value: object, place: str) -> list[str]:
    """Return `value` as an array of strings."""
    return [text(item, f"{place}[{index}]") for index, item in enumerate(items(value, place))]


def integer(value: object, place: str, least: int = 0) -> int:
    """Return `value` as an integer of at least `least`; true and false are not numbers."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlainError(place, f"must be an integer, not {_name(value)}")
    if value < least:
        raise PlainError(place, f"must be at least {least}, not {value}")
    return value


def number(value: object, place: str, least: float = 0.0, most: float = float("inf")) -> float:
    """Return `value` as a float between `least` and `most`, both allowed; NaN is refused."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise PlainError(place, f"must be a number, not {_name(value)}")
    if not least <= value <= most:
        raise PlainError(place, f"must be from {least:g} to {most:g}, not {value}")
    return float(value)


def flag(value: object, place: str) -> bool:
    """Return `value` as a boolean."""
    if not isinstance(value, bool):
        raise PlainError(place, f"must be true or false, not {_name(value)}")
    return value


def required(values: Mapping[str, object], key: str, place: str) -> object:
    """Return `values[key]`, or say that it is missing."""
    if key not in values:
        raise PlainError(f"{place}.{key}", "is missing")
    return values[key]


def _name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    return type(value).__name__
