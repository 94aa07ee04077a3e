"""Readers of a guardrail's own parameters: each names the parameter, what is wrong and what would do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from config.values import InvalidValueError, parse_fraction
from control.guardrails.base import GuardrailConfigError
from control.metrics import RouteMetric

_QUANTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
SHARE: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
    ]
}
METRIC_NAME: Final[Mapping[str, Any]] = {"type": "string", "minLength": 1}
FACTOR: Final[Mapping[str, Any]] = {"type": "number", "minimum": 1, "maximum": 100}
QUANTILES: Final[Mapping[str, Any]] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 9,
    "items": {"type": "string", "pattern": r"^p\d{1,2}(\.\d+)?$"},
}


def refuse_unknown(parameters: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise for the first parameter that the kind does not have."""
    names = sorted(known)
    for key in parameters:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"use one of: {', '.join(names)}"
            raise GuardrailConfigError((key,), "there is no such key", remedy)


def share(parameters: Mapping[str, Any], key: str, default: float | None) -> float:
    """A share of requests from 0 to 1; a parameter without a default must be there."""
    value = parameters.get(key)
    if value is None:
        if default is None:
            raise GuardrailConfigError((key,), "missing", "add it, for example 2%")
        return default
    try:
        return parse_fraction(value)
    except InvalidValueError as error:
        raise GuardrailConfigError((key,), error.problem, error.remedy) from error


def factor(parameters: Mapping[str, Any], key: str, default: float) -> float:
    """How many times as much is tolerated: from 1 to 100."""
    value = parameters.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 100:
        raise GuardrailConfigError((key,), f"{value!r} is not a factor from 1 to 100", "write e.g. 1.25")
    return float(value)


def metric(parameters: Mapping[str, Any], key: str, known: Iterable[RouteMetric]) -> RouteMetric:
    """One of the route's own metrics, by its name."""
    name = parameters.get(key)
    names = {found.name: found for found in known}
    if name is None:
        raise GuardrailConfigError((key,), "missing", "name one of the route's metrics")
    if name not in names:
        have = f"use one of: {', '.join(names)}" if names else "add it to the route's metrics"
        raise GuardrailConfigError((key,), f"the route has no metric {name!r}", have)
    return names[name]


def quantiles(parameters: Mapping[str, Any], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Quantiles such as p95 in rising order, each once."""
    value = parameters.get(key)
    if value is None:
        return default
    remedy = "write a list such as [p50, p95, p99]"
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not 1 <= len(given) <= 9:
        raise GuardrailConfigError((key,), "is not a list of one to nine quantiles", remedy)
    found: set[float] = set()
    for i, text in enumerate(given):
        match = _QUANTILE.fullmatch(text) if isinstance(text, str) else None
        level = round(float(match[1]) / 100.0, 6) if match else 0.0
        if not 0 < level < 1:
            raise GuardrailConfigError((key, i), f"{text!r} is not a quantile", remedy)
        found.add(level)
    return tuple(sorted(found))
