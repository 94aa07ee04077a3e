"""Writes a configuration the way people write it: defaults left out, 5% and 30s instead of bare numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.schema import Config
from config.shape import readers
from config.values import (
    format_duration,
    format_fraction,
    format_size,
    parse_duration,
    parse_fraction,
    parse_size,
)
from config.yaml_core import CoreDumper

_WRITERS: Final[Mapping[Callable[..., Any], Callable[[Any], str | float]]] = {
    parse_duration: format_duration,
    parse_fraction: format_fraction,
    parse_size: format_size,
}
# The one key that says it all, for entries that may be written as a bare value.
_SHORT_FORMS: Final = {"Endpoint": "url", "Step": "weight"}
# Entries of lists without names: they are read and compared as a whole, so always in the fewest words.
_ATOMS: Final = frozenset({"Step", "Guardrail"})


def to_yaml(config: Config) -> str:
    """YAML that loads as the same configuration."""
    return _dump(_escaped(plain(config)), width=100, flow=None)


def to_line(value: object) -> str:
    """A plain value in one line, for messages."""
    text = _dump(value, width=2**31, flow=True)
    return text.removesuffix("\n").removesuffix("\n...")


def plain(model: BaseModel, *, defaults: bool = False, short: bool = True) -> dict[str, Any]:
    """The values of a model in the forms that people write.

    Args:
        defaults: whether values that equal the default are there too.
        short: whether an endpoint that is only a URL is written as one, and a step as its weight.
    """
    result: dict[str, Any] = {}
    # What must be given comes first: a step starts with its weight.
    fields = sorted(type(model).model_fields.items(), key=lambda field: not field[1].is_required())
    for name, info in fields:
        value = getattr(model, name)
        if value is None or (not defaults and not info.is_required() and value == _default(info)):
            continue
        result[info.alias or name] = _plain_value(value, info, defaults=defaults, short=short)
    return {**result, **(model.__pydantic_extra__ or {})}


def _plain_value(value: Any, info: FieldInfo, *, defaults: bool, short: bool) -> Any:
    match value:
        case BaseModel() if type(value).__name__ in _ATOMS and (defaults or not short):
            return _plain_value(value, info, defaults=False, short=True)
        case BaseModel():
            found = plain(value, defaults=defaults, short=short)
            key = _SHORT_FORMS.get(type(value).__name__)
            return found[key] if short and key is not None and list(found) == [key] else found
        case tuple():
            return [_plain_value(item, info, defaults=defaults, short=short) for item in value]
        case dict():
            items = value.items()
            return {key: _plain_value(item, info, defaults=defaults, short=short) for key, item in items}
        case bool() | str():
            return value
        case int() | float():
            writers = [_WRITERS[reader] for reader in readers(info) if reader in _WRITERS]
            return writers[0](value) if writers else value
        case _:
            return str(value)


def plain_default(info: FieldInfo) -> Any:
    """The default of a field in the form that people write, None when there is none."""
    value = _default(info)
    return None if value is None else _plain_value(value, info, defaults=True, short=True)


def _default(info: FieldInfo) -> Any:
    return info.get_default(call_default_factory=True, validated_data={})


def _escaped(value: Any) -> Any:
    """Text in which `${` stays what it is when the file is loaded."""
    match value:
        case str():
            return value.replace("${", "$${")
        case list() | tuple():
            return [_escaped(item) for item in value]
        case dict():
            return {key: _escaped(item) for key, item in value.items()}
        case _:
            return value


def _dump(value: object, *, width: int, flow: bool | None) -> str:
    stream = io.StringIO()
    dumper = CoreDumper(stream, width=width, flow=flow)
    try:
        dumper.open()
        dumper.represent(value)
        dumper.close()
    finally:
        dumper.dispose()
    return stream.getvalue()
