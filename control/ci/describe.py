"""The options of a pipeline in words, for the command and the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.base import Model
from control.ci.options import Environment, Oidc, PipelineOptions, Tests

_PARTS: Final[Mapping[str, type[Model]]] = {"tests": Tests, "environments": Environment, "oidc": Oidc}


def describe_options() -> list[dict[str, str]]:
    """Name, meaning and default of every option; those of parts as `tests.unit` and `environments[].name`."""
    found = []
    for name, field in PipelineOptions.model_fields.items():
        part = _PARTS.get(name)
        if part is None:
            found.append(_entry(name, field))
            continue
        prefix = f"{name}[]" if name == "environments" else name
        found += [_entry(f"{prefix}.{inner}", below) for inner, below in part.model_fields.items()]
    return found


def _entry(name: str, field: FieldInfo) -> dict[str, str]:
    meaning = " ".join((field.description or "").split()).rstrip(".") or _WORDS.get(name, "")
    return {"name": name, "meaning": meaning, "default": _default(field.default)}


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
