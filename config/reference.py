"""The schema as tables for people; `python -m config.reference docs/configuration.md` renews them there."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config import addresses, fields, values
from config.meanings import meanings
from config.render import plain_default, to_line
from config.routes import FailureName
from config.schema import Config
from config.serving import read_workers
from config.shape import resolved, types_of

BEGIN: Final = "<!-- made by config/reference.py -->"
END: Final = "<!-- end -->"
_KINDS: Final[Mapping[object, str]] = {
    values.parse_duration: "duration",
    values.parse_fraction: "share",
    values.parse_size: "size",
    values.parse_name: "name",
    values.parse_header_name: "header name",
    addresses.parse_bind: "address",
    addresses.parse_host_pattern: "host",
    fields.parse_url: "URL",
    fields.parse_path: "path",
    fields.parse_regex: "expression",
    fields.parse_method: "method",
    fields.parse_sha256: "digest",
    fields.parse_text: "text",
    fields.header_name_or_off: 'header name or `""`',
    fields.cookie_name_or_off: 'cookie name or `""`',
    read_workers: "1 to 256, or `auto`",
}


def tables() -> str:
    """One section for each part of a configuration file, in the order of the schema."""
    seen: set[str] = set()
    sections: list[str] = []
    for path, model in _sections(Config, ""):
        sections.append(_section(path, model, again=path in seen))
        seen.add(path)
    return "\n".join(sections)


def renewed(document: str) -> str:
    """The document with the tables between its two marks made anew."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, info in model.model_fields.items():
        inner = dict.fromkeys(found for each in types_of(info) for found in _models(each))
        for each, suffix in inner:
            key = info.alias or name
            yield from _sections(each, f"{path}.{key}{suffix}" if path else f"{key}{suffix}")


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    elif origin in (tuple, dict):
        suffix = "[]" if origin is tuple else ".NAME"
        for inner in resolved(arguments[0 if origin is tuple else 1]):
            yield from ((model, suffix + below) for model, below in _models(inner))


def _section(path: str, model: type[BaseModel], *, again: bool) -> str:
    rows = sorted(model.model_fields.items(), key=lambda field: not field[1].is_required())
    title = f"`{path}`" if path else "Top level"
    # Entries of one list can have several forms, known by the key that they must have.
    title += f" with `{rows[0][0]}`" if again else ""
    lines = [
        f"### {title}",
        "",
        (model.__doc__ or "").strip(),
        "",
        "| Key | Value | Default | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    texts = meanings(model)
    for name, info in rows:
        row = (f"`{info.alias or name}`", _kind(info), _default(info), texts.get(name, ""))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    return "\n".join([*lines, ""])


def _kind(info: FieldInfo) -> str:
    return _described(info.annotation, info.metadata)


def _described(annotation: Any, extras: Iterable[Any] = ()) -> str:
    """What may be written, in a few words."""
    extras = list(extras)
    for extra in extras:
        if isinstance(extra, BeforeValidator) and extra.func in _KINDS:
            return _KINDS[extra.func] + _bounds(extras)
        if isinstance(extra, BeforeValidator) and extra.json_schema_input_type is not PydanticUndefined:
            return _described(extra.json_schema_input_type)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _described(arguments[0], annotation.__metadata__)
    if annotation is FailureName:
        return "outcome"
    if origin is Literal:
        return ", ".join(f"`{to_line(choice)}`" for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        options = [_described(option) for option in arguments if option is not types.NoneType]
        return " or ".join(dict.fromkeys(options))
    if origin is tuple:
        return f"list of {_plural(_described(arguments[0]))}"
    if origin is dict:
        return f"{_described(arguments[0])}: {_described(arguments[1])}"
    if annotation is bool:
        return "`true`, `false`"
    if annotation in (int, float):
        noun = "whole number" if annotation is int else "number"
        return noun + _bounds(extras)
    return "text" if annotation is str else "section"


def _bounds(extras: Iterable[Any]) -> str:
    limits = [limit for extra in extras for limit in getattr(extra, "metadata", [extra])]
    low = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in limits if isinstance(limit, Le)), None)
    if low is None:
        return "" if high is None else f", at most {high:,}"
    return f", at least {low:,}" if high is None else f", {low:,} to {high:,}"


def _plural(noun: str) -> str:
    return " or ".join(f"{word}s" if word.isalpha() else word for word in noun.split(" or "))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = plain_default(info)
    if isinstance(info.default, BaseModel) or default in (None, {}, [], ""):
        return ""
    return f"`{to_line(default)}`"


if __name__ == "__main__":
    for _path in map(Path, sys.argv[1:]):
        _path.write_text(renewed(_path.read_text(encoding="utf-8")), encoding="utf-8")
