"""Imports every module of events, so that each event has registered itself."""

from importlib import import_module
from pathlib import Path


def load_all() -> None:
    """Import them; doing it again changes nothing."""
    import_module("control.audit.events")
    for path in sorted((Path(__file__).parent / "kinds").glob("*.py")):
        if path.stem != "__init__":
            import_module(f"control.audit.kinds.{path.stem}")
