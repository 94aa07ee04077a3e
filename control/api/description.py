"""What an operation takes, said once: requests are checked by it, the OpenAPI document is made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web

from control.api.errors import ApiError
from control.api.requests import json_object

Kind = Literal["text", "integer", "number", "boolean", "texts", "object", "objects", "numbers", "strings"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LIST_MAX: Final = 1000
_KEY: Final = "headgate_operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One parameter or one field of a body. Bounds are of lengths for texts and lists, else of the value."""

    kind: Kind = "text"
    about: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    lowest: int | None = None
    highest: int | None = None

    def schema(self) -> dict[str, Any]:
        """It as JSON Schema."""
        schemas: dict[Kind, dict[str, Any]] = {
            "text": {"type": "string"},
            "integer": {"type": "integer"},
            "number": {"type": "number"},
            "boolean": {"type": "boolean"},
            "texts": {"type": "array", "items": {"type": "string"}, "maxItems": _LIST_MAX},
            "object": {"type": "object"},
            "objects": {"type": "array", "items": {"type": "object"}, "maxItems": _LIST_MAX},
            "numbers": {"type": "object", "additionalProperties": {"type": "number"}},
            "strings": {"type": "object", "additionalProperties": {"type": "string"}},
        }
        schema = schemas[self.kind]
        if self.choices:
            schema["enum"] = list(self.choices)
        for name, bound in (("min", self.lowest), ("max", self.highest)):
            if bound is not None:
                schema[f"{name}Length" if self.kind == "text" else f"{name}imum"] = bound
        if self.default is not None:
            schema["default"] = self.default
        return schema | {"description": self.about}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a handler takes and answers; `errors` are statuses besides 400, 401, 403 and 503."""

    query: Mapping[str, Field] = field(default_factory=dict)
    body: Mapping[str, Field] | None = None
    status: int = 200
    errors: tuple[int, ...] = ()
    answer: str = "application/json"
    takes: str = ""
    """What is in a body that is no JSON."""


def operation(
    *,
    query: Mapping[str, Field] | None = None,
    body: Mapping[str, Field] | None = None,
    status: int = 200,
    errors: tuple[int, ...] = (),
    answer: str = "application/json",
    takes: str = "",
) -> Callable[[Handler], Handler]:
    """Describe the handler below; its docstring is the summary."""
    described = Operation(
        query=query or {}, body=body, status=status, errors=errors, answer=answer, takes=takes
    )

    def note(handler: Handler) -> Handler:
        setattr(handler, _KEY, described)
        return handler

    return note


def operation_of(handler: object) -> Operation | None:
    """The description of a handler, if it has one."""
    found = getattr(handler, _KEY, None)
    return found if isinstance(found, Operation) else None


def query_of(request: web.Request) -> dict[str, Any]:
    """The query parameters as values, defaults filled in.

    Raises:
        ApiError: one is unknown, given twice, missing or malformed.
    """
    known = _described(request).query
    for name in request.query:
        if name not in known:
            remedy = f"use {', '.join(sorted(known)) or 'none'}"
            raise ApiError(400, "unknown_parameter", f"{name}: is not a parameter of {request.path}", remedy)
        if len(request.query.getall(name)) > 1:
            raise ApiError(400, "invalid_parameter", f"{name}: is given more than once", "give it once")
    return {
        name: _checked(name, entry, _parsed(entry, request.query.get(name)), "invalid_parameter")
        for name, entry in known.items()
    }


async def body_of(request: web.Request) -> dict[str, Any]:
    """The fields of a JSON body as values, defaults filled in.

    Raises:
        ApiError: it is no object, or a field is unknown, missing or malformed.
    """
    known = _described(request).body or {}
    required = any(entry.required for entry in known.values())
    given = await json_object(request, required=required)
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ApiError(
            400, "unknown_field", f"{', '.join(unknown)[:200]}: not a field here", f"use {', '.join(known)}"
        )
    return {name: _checked(name, entry, given.get(name), "invalid_field") for name, entry in known.items()}


def _described(request: web.Request) -> Operation:
    found = operation_of(request.match_info.handler)
    assert found is not None, request.path
    return found


def _parsed(entry: Field, text: str | None) -> Any:
    if text is None:
        return None
    if entry.kind == "boolean":
        return {"true": True, "1": True, "": True, "false": False, "0": False}.get(text, text)
    if entry.kind == "integer" and text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20:
        return int(text)
    return text


_TYPES: Final[Mapping[Kind, tuple[type, ...]]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "texts": (list,),
    "object": (dict,),
    "objects": (list,),
    "numbers": (dict,),
    "strings": (dict,),
}
_WORDS: Final[Mapping[Kind, str]] = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "texts": "a list of texts",
    "object": "an object",
    "objects": "a list of objects",
    "numbers": "an object of numbers",
    "strings": "an object of texts",
}


def _checked(name: str, entry: Field, value: Any, code: str) -> Any:
    if value is None:
        if entry.required:
            raise ApiError(400, code, f"{name}: is missing", f"give {_WORDS[entry.kind]}: {entry.about}")
        return entry.default
    if not _fits(entry, value):
        raise ApiError(400, code, f"{name}: is not {_bounds(entry)}", entry.about)
    return value


def _fits(entry: Field, value: Any) -> bool:
    if (type(value) is bool) != (entry.kind == "boolean"):
        return False
    # The type is looked at by itself: a checker would take the value for an object from there on.
    if not issubclass(type(value), _TYPES[entry.kind]):
        return False
    if entry.choices and value not in entry.choices:
        return False
    measured: float = len(value) if isinstance(value, (str, list, dict)) else value
    if entry.lowest is not None and measured < entry.lowest:
        return False
    if entry.highest is not None and measured > entry.highest:
        return False
    if entry.kind == "texts":
        return len(value) <= _LIST_MAX and all(isinstance(item, str) for item in value)
    if entry.kind == "objects":
        return len(value) <= _LIST_MAX and all(isinstance(item, dict) for item in value)
    if entry.kind == "strings":
        return all(isinstance(item, str) for item in value.values())
    if entry.kind == "numbers":
        return all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value.values())
    return True


def _bounds(entry: Field) -> str:
    if entry.choices:
        return f"one of {', '.join(entry.choices)}"
    text = _WORDS[entry.kind]
    if entry.lowest is not None or entry.highest is not None:
        text += f" from {entry.lowest if entry.lowest is not None else '-'} to {entry.highest}"
    return text
