"""Looks into the schema: which models and fields stand at a path, and how a field is read."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.problems import Path


def models_at(root: type[BaseModel], path: Path) -> list[type[BaseModel]]:
    """The models that a mapping at this path may be read as; none where kinds have their own say."""
    candidates: list[Any] = [root]
    for part in path:
        candidates = [inner for candidate in candidates for inner in _inside(candidate, part)]
    models = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
    return list(dict.fromkeys(models))


def keys(models: Iterable[type[BaseModel]]) -> list[str]:
    """The keys that the models know, in the order of the schema."""
    found = (info.alias or name for model in models for name, info in model.model_fields.items())
    return list(dict.fromkeys(found))


def field_at(model: type[BaseModel], key: str) -> FieldInfo | None:
    """The field that a key of the file sets."""
    for name, info in model.model_fields.items():
        if key == (info.alias or name):
            return info
    return None


def readers(info: FieldInfo) -> list[Callable[..., Any]]:
    """The functions that read the field's own value, such as ``parse_duration``."""
    nested = (extra for _, extras in _annotated(info.annotation) for extra in extras)
    return [extra.func for extra in (*info.metadata, *nested) if isinstance(extra, BeforeValidator)]


def types_of(info: FieldInfo) -> list[Any]:
    """The types that a field may hold or be written as, with unions and annotations resolved."""
    return list(_field_types(info))


def resolved(annotation: Any) -> Iterator[Any]:
    """The types in a union or annotation, those that may be written instead included."""
    for plain, extras in _annotated(annotation):
        yield plain
        yield from _written_as(extras)


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        info = field_at(annotation, str(part))
        if info is not None:
            yield from _field_types(info)
    elif origin is tuple and isinstance(part, int):
        yield from resolved(arguments[0])
    elif origin is dict and isinstance(part, str):
        yield from resolved(arguments[1])


def _field_types(info: FieldInfo) -> Iterator[Any]:
    yield from resolved(info.annotation)
    yield from _written_as(info.metadata)


def _written_as(extras: Iterable[Any]) -> Iterator[Any]:
    for extra in extras:
        if isinstance(extra, BeforeValidator) and extra.json_schema_input_type is not PydanticUndefined:
            yield from resolved(extra.json_schema_input_type)


def _annotated(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _annotated(typing.get_args(annotation)[0])
        yield annotation, annotation.__metadata__
    elif origin in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            yield from _annotated(option)
    else:
        yield annotation, ()
