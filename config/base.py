"""What every part of the schema shares: the frozen base model, its field types and placed faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from config.problems import Path
from config.values import (
    Bind,
    InvalidValueError,
    parse_bind,
    parse_duration,
    parse_endpoint_url,
    parse_fraction,
    parse_header_name,
    parse_name,
    parse_size,
)


class Model(BaseModel):
    """A frozen piece of configuration that refuses keys it does not know."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        # A sequence in a file is a list; the value keeps it as a tuple.
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    @model_serializer(mode="wrap")
    def _without_the_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        for name in type(self).model_fields:
            # Only declared fields: a kind's own null is the kind's to understand.
            if plain.get(name, False) is None:
                del plain[name]
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong at a path below the value being checked."""

    path: Path
    problem: str
    remedy: str


def refuse(title: str, faults: Iterable[Fault]) -> None:
    """Raise one validation error that holds every fault at its own place; return when there is none."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(
                "headgate", "{problem}; {remedy}", {"problem": fault.problem, "remedy": fault.remedy}
            ),
            loc=fault.path,
            input=None,
        )
        for fault in faults
    ]
    if details:
        raise ValidationError.from_exception_data(title, details, hide_input=True)


def as_tuple(value: object) -> object:
    """Lists become tuples before a strict tuple is checked."""
    return tuple(value) if isinstance(value, list) else value


def above_zero(what: str) -> Callable[[float], float]:
    """A check that refuses zero where zero would switch off what must not be off."""

    def check(value: float) -> float:
        if not value > 0:
            raise InvalidValueError(f"{what} must be more than 0", "write a duration such as 5s")
        return value

    return check


DURATION_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^\s*(\d+(\.\d+)?|(\d+(\.\d+)?(us|µs|ms|s|m|h|d))+)\s*$"},
    ],
}
FRACTION_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\s*(\d+(\.\d+)?\s*%|\d+(\.\d+)?([eE][-+]?\d+)?)\s*$"},
    ],
}
SIZE_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([bB]|[kKmMgGtT][iI]?[bB])?\s*$"},
    ],
}

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)]
"""Seconds."""

PositiveDuration = Annotated[Duration, AfterValidator(above_zero("this duration"))]
"""Seconds, more than zero."""

Fraction = Annotated[float, BeforeValidator(parse_fraction), WithJsonSchema(FRACTION_SCHEMA)]
"""A share from 0 to 1."""

Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(SIZE_SCHEMA)]
"""Bytes."""

BindAddress = Annotated[
    Bind,
    BeforeValidator(parse_bind),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):\d{1,5}\s*$"}),
]

EndpointUrl = Annotated[
    str,
    BeforeValidator(lambda value: str(parse_endpoint_url(value))),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[hH][tT][tT][pP]://[^/?#@\s]+/?\s*$"}),
]

Name = Annotated[
    str,
    BeforeValidator(parse_name),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$"}),
]

HEADER_NAME_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$",
}
HeaderName = Annotated[str, BeforeValidator(parse_header_name), WithJsonSchema(HEADER_NAME_SCHEMA)]


def header_name_or_off(value: object) -> str:
    """A header name, or the empty string for none."""
    return "" if value == "" else parse_header_name(value)


OptionalHeaderName = Annotated[
    str,
    BeforeValidator(header_name_or_off),
    WithJsonSchema({"anyOf": [HEADER_NAME_SCHEMA, {"const": ""}]}),
]
