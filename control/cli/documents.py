"""Reads what a command is given: a YAML or JSON document, and settings on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from control.cli.failure import CommandError


def read_document(path: str) -> dict[str, Any]:
    """A mapping from a file, or from standard input for `-`.

    Raises:
        CommandError: it cannot be read, or is no mapping.
    """
    import yaml

    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        value = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: cannot be read ({error})", "name a file with YAML or JSON") from error
    except yaml.YAMLError as error:
        raise CommandError(f"{path}: {' '.join(str(error).split())}", "correct the YAML") from error
    if not isinstance(value, dict):
        raise CommandError(f"{path}: is not a mapping", "write name: value on each line")
    return value


def settings_of(texts: Iterable[str]) -> dict[str, Any]:
    """`name=value` pairs; a name with dots is a mapping inside.

    Raises:
        CommandError: one is no such pair.
    """
    import yaml

    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandError(f"--set {text}: is not NAME=VALUE", "write --set duration=1m")
        *path, last = name.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        try:
            place[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise CommandError(f"--set {name}: the value cannot be read", "put it in quotes") from error
    return found
