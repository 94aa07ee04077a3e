"""Imports every kind of guardrail, so that each has registered itself."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

# Modules of this package that define no kind.
SHARED: Final = frozenset(
    {
        *("__init__", "base", "figures", "finding", "load", "parameters", "plumbing", "share_limit"),
        *("slowness", "words"),
    }
)


def kind_modules() -> list[str]:
    """Names of the modules that define a kind, one each."""
    return sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - SHARED)


def load_all() -> None:
    """Import them; doing it again changes nothing."""
    for name in kind_modules():
        import_module(f"control.guardrails.{name}")
