"""What releases and aliases are called, and how one is referred to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.values import InvalidValueError, parse_name
from control.errors import InvalidError

LATEST: Final = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A release as people name it: ``fraud:1.4.0`` by its version, ``fraud@prod`` by an alias."""

    name: str
    version: str = ""
    alias: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.alias}" if self.alias else f"{self.name}:{self.version}"


def check_name(text: str) -> str:
    """The name of a model: the grammar of every other name, so it can stand in a URL, a label and a path.

    Raises:
        InvalidError: it is not one.
    """
    try:
        return parse_name(text)
    except InvalidValueError as error:
        raise InvalidError(f"model name: {error.problem}", error.remedy) from error


def check_alias(text: str) -> str:
    """The name of an alias.

    Raises:
        InvalidError: it is not one, or is always what `latest` says.
    """
    try:
        alias = parse_name(text)
    except InvalidValueError as error:
        raise InvalidError(f"alias: {error.problem}", error.remedy) from error
    if alias == LATEST:
        raise InvalidError("alias latest always names the newest version", "choose another name")
    return alias


def parse_reference(text: str) -> Reference:
    """Read ``NAME:VERSION`` or ``NAME@ALIAS``.

    Raises:
        InvalidError: it is neither.
    """
    for mark in "@:":
        name, found, rest = text.partition(mark)
        if found and rest:
            check_name(name)
            if mark == "@":
                if rest != LATEST:
                    check_alias(rest)
                return Reference(name=name, alias=rest)
            return Reference(name=name, version=rest)
    raise InvalidError(f"{text!r} names no release", "write NAME:VERSION or NAME@ALIAS")


def alias_of(release: str) -> Reference | None:
    """The reference, when the text of an upstream's `release` is one by alias."""
    if "@" not in release:
        return None
    try:
        reference = parse_reference(release)
    except InvalidError:
        return None
    return reference if reference.alias else None
