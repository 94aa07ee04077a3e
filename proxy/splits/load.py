"""Imports every kind of split, so that each has registered itself."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

# Modules of this package that define no kind.
SHARED: Final = frozenset(
    {"__init__", "base", "layers", "load", "parameters", "ranges", "schemas", "spec", "sticky"}
)


def kind_modules() -> list[str]:
    """Names of the modules that define a kind, one each; compiled modules count like source."""
    names = {entry.name.split(".", 1)[0] for entry in Path(__file__).parent.iterdir() if _is_module(entry)}
    return sorted(names - SHARED)


def load_all() -> None:
    """Import them; doing it again changes nothing."""
    for name in kind_modules():
        import_module(f"proxy.splits.{name}")


def _is_module(entry: Path) -> bool:
    return entry.suffix in (".py", ".so")
