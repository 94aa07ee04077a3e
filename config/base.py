"""What every part of the schema shares: the frozen base model, and faults that know their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from config.problems import Path
from config.values import InvalidValueError, shown


class Model(BaseModel):
    """A frozen piece of configuration that refuses keys it does not know."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )

    @model_serializer(mode="wrap")
    def _without_the_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        for name in type(self).model_fields:
            # Only declared fields: a kind's own null is the kind's to understand.
            if name in plain and plain[name] is None:
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


def repeated(key: str, values: Sequence[str]) -> list[Fault]:
    """A fault for each entry of a list that stands there a second time."""
    return [
        Fault(path=(key, i), problem=f"{shown(value)} is listed twice", remedy="keep one of them")
        for i, value in enumerate(values)
        if value in values[:i]
    ]


def as_tuple(value: object) -> object:
    """A file has lists where the schema has tuples."""
    if isinstance(value, str):
        raise InvalidValueError.about(value, "is not a list", f"write it in brackets: [{value[:40]}]")
    return tuple(value) if isinstance(value, list) else value
