"""Readers and writers of what people write: durations, shares, sizes and names. No pydantic in here."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Self


class InvalidValueError(ValueError):
    """A value that cannot be used: what is wrong with it and what to write instead."""

    def __init__(self, problem: str, remedy: str, *, what: str | None = None) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
        self._what = what

    @classmethod
    def about(cls, value: object, what: str, remedy: str) -> Self:
        """The problem starts with the value, which ``said_of`` can leave out."""
        return cls(f"{shown(value)} {what}", remedy, what=what)

    def said_of(self, subject: str) -> str:
        """The problem with other words for the value, for one that must not be shown."""
        return self.problem if self._what is None else f"{subject} {self._what}"


# Nothing that is read here is longer; it also bounds the work of the patterns below.
_TEXT_MAX: Final = 300
_NUMBER: Final = r"\d{1,18}(?:\.\d{1,18})?"
_SECONDS: Final = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_DURATION_PART: Final = re.compile(rf"({_NUMBER})(us|ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_NUMBER}(?:us|ms|s|m|h|d)){{1,6}}")
# A longer one is a slip of the unit, and timers keep their precision below it.
DURATION_MAX: Final = 366 * 86400.0

_BYTES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE: Final = re.compile(rf"({_NUMBER})\s*([A-Za-z]{{0,3}})")
SIZE_MAX: Final = 2**50

_PERCENT: Final = re.compile(rf"({_NUMBER})\s*%")
_DECIMAL: Final = re.compile(rf"{_NUMBER}(?:[eE][-+]?\d{{1,3}})?")
# Below a hundredth of a percent no rollout would see enough requests to decide anything.
FRACTION_MIN: Final = 0.0001

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# RFC 9110, 5.6.2.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")


def parse_duration(value: object) -> float:
    """Seconds from ``"250ms"``, ``"1m30s"`` or a number of seconds."""
    remedy = "write a number of seconds or a duration such as 250ms, 5s, 2m or 1h"
    match value:
        case bool():
            raise InvalidValueError.about(value, "is not a duration", remedy)
        case int() | float():
            seconds = value
        case str() if _matches(_DECIMAL, value):
            seconds = float(value)
        case str() if _matches(_DURATION, value):
            # Decimal, because 55 * 1e-6 is not the float that 0.000055 is.
            seconds = float(sum(Decimal(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(value)))
        case _:
            raise InvalidValueError.about(value, "is not a duration", remedy)
    if not 0 <= seconds <= DURATION_MAX:
        raise InvalidValueError.about(value, "is outside 0s to 366d", remedy)
    return float(seconds)


def format_duration(seconds: float) -> str | float:
    """The shortest text that ``parse_duration`` reads back as the same number, else the number."""
    for unit in ("h", "m", "s", "ms", "us"):
        count = Decimal(repr(seconds)) / _SECONDS[unit]
        if count == int(count) and (seconds or unit == "s"):
            text = f"{int(count)}{unit}"
            return text if parse_duration(text) == seconds else seconds
    return seconds


def parse_fraction(value: object) -> float:
    """A share in [0, 1] from ``"5%"`` or ``0.05``; the smallest above zero is 0.01%."""
    remedy = "write a percentage such as 5% or a fraction such as 0.05"
    match value:
        case bool():
            raise InvalidValueError.about(value, "is not a share", remedy)
        case int() if value == 1:
            raise InvalidValueError("1 could mean 1% or all of it", "write 1% or 100%")
        case int() | float():
            fraction = float(value) if abs(value) < 1e9 else float("inf")
        case str() if percent := _matches(_PERCENT, value):
            # Decimal, so that 7% is the float that 0.07 is.
            fraction = float(Decimal(percent[1]).scaleb(-2))
        case str() if _matches(_DECIMAL, value):
            return parse_fraction(int(value) if value.strip().isdigit() else float(value))
        case _:
            raise InvalidValueError.about(value, "is not a share", remedy)
    if 1 < fraction <= 100 and not isinstance(value, str):
        raise InvalidValueError.about(
            value, "is more than everything", f"write {value:g}% if that is what is meant"
        )
    if not 0 <= fraction <= 1:
        raise InvalidValueError.about(value, "is outside 0% to 100%", remedy)
    if 0 < fraction < FRACTION_MIN:
        raise InvalidValueError.about(value, "is too small a share", "write 0 or at least 0.01%")
    return fraction


def format_fraction(fraction: float) -> str | float:
    """The percentage that ``parse_fraction`` reads back as the same number, else the number."""
    text = f"{Decimal(repr(fraction)) * 100:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text}%" if _matches(_PERCENT, f"{text}%") and len(text) <= 8 else fraction


def parse_size(value: object) -> int:
    """Bytes from ``"64KiB"``, ``"1.5MB"`` or an integer."""
    remedy = "write a whole number of bytes or a size such as 64KiB, 10MB or 1GiB"
    match value:
        case bool():
            raise InvalidValueError.about(value, "is not a size", remedy)
        case int():
            size = Decimal(value)
        case str() if (found := _matches(_SIZE, value)) and found[2].lower() in _BYTES:
            size = Decimal(found[1]) * _BYTES[found[2].lower()]
        case _:
            raise InvalidValueError.about(value, "is not a size", remedy)
    if not 0 <= size <= SIZE_MAX:
        raise InvalidValueError.about(value, "is outside 0 to 1024TiB", remedy)
    if size != int(size):
        raise InvalidValueError.about(value, "is not a whole number of bytes", remedy)
    return int(size)


def format_size(size: int) -> str | int:
    """The size in the largest binary unit that divides it."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return size


def parse_name(value: object) -> str:
    """A name of a route, an upstream or a token."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        quoted = isinstance(value, (int, float)) and not isinstance(value, bool)
        raise InvalidValueError.about(
            value,
            "is not a name",
            "put it in quotes"
            if quoted
            else "use up to 64 letters, digits, '.', '-' and '_', with a letter or digit at both ends",
        )
    return value


def parse_header_name(value: object) -> str:
    """A header name in lower case, as names are compared without case (RFC 9110, 5.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise InvalidValueError.about(value, "is not a header name", "write a token such as x-request-id")
    return value.lower()


def parse_cookie_name(value: object) -> str:
    """A cookie name, a token whose case counts (RFC 6265, 4.1.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise InvalidValueError.about(value, "is not a cookie name", "write a token such as session_id")
    return value


def shown(value: object) -> str:
    """A value as it may stand in a message: short, never a whole structure, never a credential."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case str() if "@" in value:
            return "the value"
        case _:
            text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a huge number"
            return text if len(text) <= 80 else text[:77] + "..."


def _matches(pattern: re.Pattern[str], value: str) -> re.Match[str] | None:
    return pattern.fullmatch(value.strip()) if len(value) <= _TEXT_MAX and value.isascii() else None
