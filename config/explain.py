"""Turns what the schema refuses into problems in plain words, at their place in the file."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import ErrorDetails

from config.problems import Path, Problem
from config.schema import Config
from config.source import Source
from config.values import InvalidValueError


def explain(error: ValidationError, value: object, source: Source) -> list[Problem]:
    """One problem for each fault, without the branches of a union that were not meant."""
    found: dict[tuple[Path, str], Problem] = {}
    for detail in error.errors(include_url=False, include_input=True):
        path = _path_in(value, detail["loc"], keep_last=detail["type"] == "missing")
        problem, remedy = _words(detail)
        on_key = detail["type"] == "extra_forbidden"
        found.setdefault((path, problem), source.problem(path, problem, remedy, key=on_key))
    return list(found.values())


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


def _words(detail: ErrorDetails) -> tuple[str, str]:
    context: dict[str, Any] = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "headgate":
        return str(context["problem"]), str(context["remedy"])
    if kind == "value_error" and isinstance(context.get("error"), InvalidValueError):
        fault: InvalidValueError = context["error"]
        return fault.problem, fault.remedy
    if kind == "extra_forbidden":
        return "there is no such key", _suggest(detail["loc"])
    if kind == "missing":
        return "missing", "add it"
    if kind == "literal_error":
        return f"{_short(detail['input'])} is not one of the choices", f"use {context['expected']}"
    return detail["msg"][:1].lower() + detail["msg"][1:], "correct it"


def _short(value: object) -> str:
    if isinstance(value, (dict, list, tuple)):
        return "a structure"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _suggest(loc: tuple[str | int, ...]) -> str:
    known = sorted({key for model in _models_at(loc[:-1]) for key in _keys(model)})
    close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"use one of: {', '.join(known)}"


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield info.alias or name


def _models_at(loc: Iterable[str | int]) -> list[type[BaseModel]]:
    candidates: list[Any] = [Config]
    for part in loc:
        candidates = [inner for candidate in candidates for inner in _inside(candidate, part)]
    return [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    for option in _options(annotation):
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if isinstance(option, type) and issubclass(option, BaseModel):
            for name, info in option.model_fields.items():
                if part in (name, info.alias):
                    yield from _options(info.annotation)
                    for extra in info.metadata:
                        if isinstance(extra, BeforeValidator):
                            yield from _options(extra.json_schema_input_type)
        elif origin is tuple and isinstance(part, int):
            yield from _options(arguments[0])
        elif origin is dict:
            yield from _options(arguments[1])


def _options(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _options(typing.get_args(annotation)[0])
        for extra in annotation.__metadata__:
            if isinstance(extra, BeforeValidator):
                yield from _options(extra.json_schema_input_type)
    elif origin in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            yield from _options(option)
    else:
        yield annotation
