"""Imports every kind of split, so that each has registered itself."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

import proxy.splits

# Modules of this package that define no kind.
SHARED: Final = frozenset(
    {"__init__", "base", "layers", "load", "parameters", "ranges", "schemas", "spec", "sticky"}
)


def kind_modules() -> list[str]:
    """Names of the modules that define a kind, one each; compiled modules count like source."""
    with os.scandir(proxy.splits.__path__[0]) as entries:
        names = {entry.name.split(".", 1)[0] for entry in entries if entry.name.endswith((".py", ".so"))}
    return sorted(names - SHARED)


def load_all() -> None:
    """Import them; doing it again changes nothing."""
    for name in kind_modules():
        import_module(f"proxy.splits.{name}")
