"""Checks that several kinds of split make on their parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.values import FRACTION_MIN, InvalidValueError, parse_fraction
from proxy.keys import KeySpecError, parse_key
from proxy.splits.spec import Path, SplitConfigError

Parameters = Mapping[str, object]

SHARE_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 100},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%?\s*$"},
    ],
}
KEY_PATTERN: Final = (
    r"^(client_address|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|cookie:[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    r"|query:.+|path:\d{1,3}|json:/.*|jwt:.+)$"
)
KEY_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "pattern": KEY_PATTERN},
        {"type": "array", "items": {"type": "string", "pattern": KEY_PATTERN}, "minItems": 1, "maxItems": 8},
    ],
}
WEIGHT_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string"}]
}
NAME_SCHEMA: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
VARIANTS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": SHARE_SCHEMA,
    "minProperties": 2,
    "maxProperties": 64,
}
SALT_SCHEMA: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": 256}

# Enough for a fallback order; every key is tried for each request that lacks those before it.
KEYS_MAX: Final = 8
VARIANTS_MAX: Final = 64
TEXT_MAX: Final = 256


def schema(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    """JSON Schema of a kind's own parameters; anything else is refused."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def only(params: Parameters, schema: Mapping[str, Any], kind: str) -> None:
    """Refuse a parameter that the kind does not have, and the absence of one that it needs."""
    known = list(schema["properties"])
    for name in params:
        if name not in known:
            raise SplitConfigError(
                (name,), f"a {kind} split has no {name!r}", f"use only: {', '.join(known) or 'nothing'}"
            )
    for name in schema["required"]:
        if name not in params:
            raise SplitConfigError((), f"a {kind} split needs {name!r}", f"add {name}")


def upstream(params: Parameters, name: str, known: Sequence[str]) -> str:
    """The upstream that a parameter names."""
    return _upstream(params[name], (name,), known)


def variants(params: Parameters, known: Sequence[str]) -> dict[str, float]:
    """Shares by upstream, from `variants: {v1: 90, v2: 10}`; they add up to 100, to 100% or to 1."""
    value = params["variants"]
    if not isinstance(value, Mapping):
        raise SplitConfigError(
            ("variants",), "is not a mapping", "write upstreams and shares, for example {v1: 90, v2: 10}"
        )
    if not 2 <= len(value) <= VARIANTS_MAX:
        raise SplitConfigError(
            ("variants",),
            f"has {len(value)} variants",
            f"name from 2 to {VARIANTS_MAX}; for a single one use kind: direct",
        )
    amounts: dict[str, float] = {}
    for name, given in value.items():
        path = ("variants", str(name))
        amounts[_upstream(name, path, known)] = _amount(given, path)
    total = math.fsum(amounts.values())
    # Shares such as 33.33 are written by hand: a thousandth of a percent is rounding, more is a slip.
    whole = next((whole for whole in (100.0, 1.0) if abs(total - whole) <= 1e-5 * whole), None)
    if whole is None:
        raise SplitConfigError(
            ("variants",), f"the shares add up to {total:g}, not to 100", "make them add up to 100"
        )
    shares = {name: amount / total for name, amount in amounts.items()}
    for name, share in shares.items():
        _not_tiny(share, ("variants", name))
    return shares


def weight(params: Parameters, name: str, default: float) -> float:
    """A share from 0 to 1, written as 5% or 0.05."""
    if name not in params:
        return default
    try:
        return parse_fraction(params[name])
    except InvalidValueError as error:
        raise SplitConfigError((name,), error.problem, error.remedy) from error


def keys(params: Parameters) -> tuple[str, ...]:
    """Where the key comes from, in the order in which the places are tried."""
    value = params["key"]
    many = isinstance(value, list | tuple)
    given: list[object] = list(value) if isinstance(value, list | tuple) else [value]
    if not 1 <= len(given) <= KEYS_MAX:
        raise SplitConfigError(("key",), f"names {len(given)} keys", f"name from 1 to {KEYS_MAX}")
    found: list[str] = []
    for index, item in enumerate(given):
        path: Path = ("key", index) if many else ("key",)
        if not isinstance(item, str):
            raise SplitConfigError(path, "is not a string", "write for example header:x-user-id")
        try:
            parse_key(item)
        except KeySpecError as error:
            raise SplitConfigError(path, error.problem, error.remedy) from error
        if item in found:
            raise SplitConfigError(path, f"{item} is named twice", "keep one of them")
        found.append(item)
    return tuple(found)


def text(params: Parameters, name: str) -> str | None:
    """A short text, or None when it is not given."""
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX:
        raise SplitConfigError(
            (name,), "is not a short text", f"write from 1 to {TEXT_MAX} characters in quotes"
        )
    return value


def flag(params: Parameters, name: str, *, default: bool) -> bool:
    """true or false."""
    value = params.get(name, default)
    if not isinstance(value, bool):
        raise SplitConfigError((name,), "is neither true nor false", "write true or false")
    return value


def whole(params: Parameters, name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise SplitConfigError(
            (name,), f"is not from {least} to {most}", "write a whole number in that range"
        )
    return value


def _upstream(value: object, path: Path, known: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise SplitConfigError(path, "is not the name of an upstream", "put the name in quotes")
    if value not in known:
        raise SplitConfigError(
            path,
            f"there is no upstream {value!r}",
            f"define it under upstreams or use one of: {', '.join(known)}",
        )
    return value


def _amount(value: object, path: Path) -> float:
    remedy = "write a number such as 90, or a percentage such as 90%"
    if isinstance(value, str):
        try:
            return _bounded(float(value.strip().removesuffix("%")), path, remedy)
        except ValueError:
            raise SplitConfigError(path, f"{value!r} is not a share", remedy) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SplitConfigError(path, "is not a share", remedy)
    return _bounded(float(value), path, remedy)


def _bounded(amount: float, path: Path, remedy: str) -> float:
    if not 0 <= amount <= 100:
        raise SplitConfigError(path, f"{amount:g} is outside 0 to 100", remedy)
    return amount


def _not_tiny(share: float, path: Path) -> None:
    if 0 < share < FRACTION_MIN * (1 - 1e-9):
        raise SplitConfigError(path, f"{share * 100:g}% is too small a share", "write 0 or at least 0.01%")
