"""Replaces ``${VARIABLE}`` in one scalar of a configuration; what is put in can never become structure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from config.values import InvalidValueError

_REFERENCE: Final = re.compile(
    r"\$(?:"
    r"(?P<escaped>\$(?=\{))"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<broken>\{[^}]*\}?)"
    r")"
)
# A variable longer than this was never meant for a configuration value.
VALUE_MAX: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolated:
    """The text after replacement, and the variables that it used."""

    text: str
    variables: tuple[str, ...]


def interpolate(text: str, environ: Mapping[str, str]) -> Interpolated:
    """Replace ``${NAME}`` and ``${NAME:-default}``; ``$${`` stands for a literal ``${``.

    Like in a shell, the default also stands in for a variable that is set to nothing.

    Raises:
        InvalidValueError: a variable is missing, or a reference is not well formed.
    """
    if "${" not in text:
        return Interpolated(text=text, variables=())
    variables: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["escaped"] is not None:
            return "$"
        if match["broken"] is not None:
            raise InvalidValueError(
                f"{match[0][:80]!r} is not a reference to a variable",
                "write ${NAME} or ${NAME:-default}; $${ stands for a literal ${",
            )
        name, default = match["name"], match["default"]
        variables.append(name)
        value = environ.get(name)
        if not value and default is not None:
            return str(default)
        if value is None:
            raise InvalidValueError(
                f"the environment variable {name} is not set", f"set it, or write ${{{name}:-default}}"
            )
        if len(value) > VALUE_MAX:
            raise InvalidValueError(
                f"the environment variable {name} is too long", f"use at most {VALUE_MAX} characters"
            )
        return value

    return Interpolated(text=_REFERENCE.sub(replace, text), variables=tuple(variables))
