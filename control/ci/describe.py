"""The options of a pipeline in words, for the command and the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import PydanticUndefined

from config.base import Model
from config.meanings import meanings
from control.ci.options import Environment, Oidc, PipelineOptions, Tests

_PARTS: Final[Mapping[str, type[Model]]] = {"tests": Tests, "environments": Environment, "oidc": Oidc}


def describe_options() -> list[dict[str, str]]:
    """Name, meaning and default of every option; those of parts as `tests.unit` and `environments[].name`."""
    found: list[dict[str, str]] = []
    for name, entry in _entries(PipelineOptions, "").items():
        part = _PARTS.get(name)
        prefix = f"{name}[]." if name == "environments" else f"{name}."
        found += [entry] if part is None else _entries(part, prefix).values()
    return found


def _entries(model: type[Model], prefix: str) -> dict[str, dict[str, str]]:
    """By the name of its field."""
    texts = meanings(model)
    found = {}
    for key, field in model.model_fields.items():
        name = prefix + key
        meaning = " ".join(texts.get(key, "").split()).rstrip(".") or _WORDS.get(name, "")
        found[key] = {"name": name, "meaning": meaning, "default": _default(field.default)}
    return found


_WORDS = {
    "tests.lint": "Commands of the lint job; an empty list leaves it out",
    "tests.types": "Commands of the type check; an empty list leaves it out",
    "tests.unit": "Commands of the unit tests; an empty list leaves them out",
    "tests.integration": "Commands of the integration tests; an empty list leaves them out",
    "tests.security": "Commands of the security scan; an empty list leaves it out",
    "environments[].name": "Name of the environment, as the platform knows it",
    "oidc.provider": "Whose identity tokens the artifact store takes: aws, azure or gcp",
}


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "none, it has to be given"
    return "nothing" if value is None else json.dumps(value, default=str)
