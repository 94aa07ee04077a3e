"""JSON Schema of the parameters that several kinds of split have, for editors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

# Enough for a fallback order; every key is tried for each request that lacks those before it.
KEYS_MAX: Final = 8
VARIANTS_MAX: Final = 64
TEXT_MAX: Final = 256

# Values from the environment are filled in after the editor has looked.
_REFERENCE: Final[dict[str, Any]] = {"type": "string", "pattern": r"\$\{"}
_KEY: Final[dict[str, Any]] = {
    "anyOf": [
        {
            "type": "string",
            "pattern": (
                r"^(client_address|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}|query:.+|path:\d{1,3}"
                r"|json:/.*|jwt:.+)$"
            ),
        },
        _REFERENCE,
    ]
}

NAME: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}
WEIGHT: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\d+(\.\d+)? ?%$"},
        _REFERENCE,
    ],
    "default": 0,
}
VARIANTS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": 100},
            {"type": "string", "pattern": r"^\d+(\.\d+)? ?%$"},
            _REFERENCE,
        ]
    },
    "minProperties": 2,
    "maxProperties": VARIANTS_MAX,
}
KEY: Final[dict[str, Any]] = {
    "anyOf": [_KEY, {"type": "array", "items": _KEY, "minItems": 1, "maxItems": KEYS_MAX}]
}
_BOUND: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\d+(\.\d+)? ?%$"},
        _REFERENCE,
    ]
}
LAYER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": TEXT_MAX},
        "range": {"type": "array", "items": _BOUND, "minItems": 2, "maxItems": 2},
    },
    "required": ["name", "range"],
    "additionalProperties": False,
}
CONTROL: Final[dict[str, Any]] = {"type": "boolean", "default": True}


def parameters(required: Sequence[str], **properties: dict[str, Any]) -> dict[str, Any]:
    """Schema of a kind's own parameters; anything else is refused."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
