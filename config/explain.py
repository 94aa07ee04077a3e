"""Turns what the schema refuses into problems in plain words, at their place in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.base import Fault
from config.checks import did_you_mean, faults, suggest
from config.problems import Path, Problem
from config.schema import Config
from config.shape import field_at, keys, models_at
from config.source import Source
from config.values import InvalidValueError, shown

_MISSING = "is missing"
_NOT_A_LIST = ("is not a list", "write it in brackets or with dashes, such as [a, b]")
_NOT_A_NUMBER = ("is not a number", "write one such as 1.5, without quotes")
_NOT_WHOLE = ("is not a whole number", "write one such as 8, without quotes")
_OF_THE_WRONG_TYPE = {
    "tuple_type": _NOT_A_LIST,
    "list_type": _NOT_A_LIST,
    "int_type": _NOT_WHOLE,
    "int_from_float": _NOT_WHOLE,
    "float_type": _NOT_A_NUMBER,
    "finite_number": _NOT_A_NUMBER,
    "bool_type": ("is neither true nor false", "write true or false, without quotes"),
    "string_type": ("is not text", "write a word, or text in quotes"),
    "dict_type": ("is not a mapping", "write keys with values below it"),
}


def explain(error: ValidationError, value: object, source: Source, spoiled: Iterable[Path]) -> list[Problem]:
    """Everything that is wrong with plain values that the schema refused.

    Args:
        spoiled: paths that already have a problem, so that nothing is said twice about them.
    """
    known = list(spoiled)
    found: dict[tuple[Path, str], Problem] = {}
    everything = list(_all(error, value, source))
    meant = {(path[:-1], remedy) for path, _, remedy, _ in everything}
    for path, problem, remedy, on_key in everything:
        if problem == _MISSING and (path[:-1], did_you_mean(str(path[-1]))) in meant:
            continue  # It is there, only misspelt, which is said already.
        if not any(path == bad or (bad[: len(path)] == path and not on_key) for bad in known):
            found.setdefault((path, problem), source.problem(path, problem, remedy, key=on_key))
    return list(found.values())


def empty_values(value: object) -> Iterator[Fault]:
    """Keys of the schema that are followed by nothing; silently taking the default would surprise."""
    yield from _empty_below(value, ())


def _empty_below(value: object, path: Path) -> Iterator[Fault]:
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _empty_below(item, (*path, i))
    if not isinstance(value, dict):
        return
    models = models_at(Config, path)
    for key, item in value.items():
        if item is None and any(field_at(model, key) for model in models):
            yield Fault(path=(*path, key), problem="has no value", remedy="write one, or remove the key")
        else:
            yield from _empty_below(item, (*path, key))


def _all(error: ValidationError, value: object, source: Source) -> Iterator[tuple[Path, str, str, bool]]:
    for detail in error.errors(include_url=False):
        # Faults of ours name a path of the file; pydantic's may hold names of its own.
        ours = detail["type"] == "headgate"
        path = (
            detail["loc"] if ours else _path_in(value, detail["loc"], keep_last=detail["type"] == "missing")
        )
        problem, remedy = _words(detail, path, source)
        yield path, problem, remedy, detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
    # The schema stops before these when a part is broken; people want to hear of both.
    for fault in faults(value):
        yield fault.path, fault.problem, fault.remedy, False


def _path_in(value: Any, loc: tuple[str | int, ...], *, keep_last: bool) -> Path:
    """The part of a location that exists in the file; the schema adds names of its own in between."""
    path: list[str | int] = []
    for i, part in enumerate(loc):
        if _holds(value, part):
            value = value[part]
        elif not (keep_last and i == len(loc) - 1):
            continue
        path.append(part)
    return tuple(path)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(part, int):
        return isinstance(value, list) and part < len(value)
    return isinstance(value, dict) and part in value


def _words(detail: ErrorDetails, path: Path, source: Source) -> tuple[str, str]:
    context: dict[str, Any] = detail.get("ctx", {})
    variables = source.variables(path)
    subject = " and ".join(f"${{{name}}}" for name in variables) if variables else shown(detail["input"])
    kind, reason = detail["type"], context.get("error")
    match kind:
        case "headgate":
            return context["problem"], context["remedy"]
        case "value_error" if isinstance(reason, InvalidValueError):
            return reason.said_of(subject) if variables else reason.problem, reason.remedy
        case "extra_forbidden":
            return "there is no such key", suggest(str(path[-1]), keys(models_at(Config, path[:-1])))
        case "missing":
            return _MISSING, "add it"
        case "literal_error":
            choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{subject} is not one of the choices", suggest(str(detail["input"]), choices)
        case "model_type" | "model_attributes_type":
            expected = keys(models_at(Config, path)) or ["key"]
            return f"{subject} is not a mapping", f"write it with keys: {', '.join(expected)}"
        case "greater_than_equal":
            return f"{subject} is too little", f"use {context['ge']} or more"
        case "greater_than":
            return f"{subject} is too little", f"use more than {context['gt']}"
        case "less_than_equal":
            return f"{subject} is too much", f"use {context['le']} or less"
        case "too_short" | "string_too_short":
            text = isinstance(detail["input"], str)
            return "is empty", "write something" if text else "give it at least one entry"
        case "too_long" | "string_too_long":
            unit = "characters" if isinstance(detail["input"], str) else "entries"
            return "is too long", f"use at most {context['max_length']} {unit}"
    if kind in _OF_THE_WRONG_TYPE:
        what, remedy = _OF_THE_WRONG_TYPE[kind]
        if variables and "without quotes" in remedy:
            remedy = "write it without quotes, on a line of its own"
        return f"{subject} {what}", remedy
    return detail["msg"][:1].lower() + detail["msg"][1:], "correct it"
