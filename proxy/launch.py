"""Starting our own programs so that they find the same code as their parent, and no other."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Descriptors that a parent hands on are named in the environment; they are never handed on twice.
PARENT_FD_VARIABLE: Final = "HEADGATE_PARENT_FD"
ADMIN_FD_VARIABLE: Final = "HEADGATE_ADMIN_FD"
LISTENERS_VARIABLE: Final = "HEADGATE_LISTENERS"
_PRIVATE: Final = (PARENT_FD_VARIABLE, ADMIN_FD_VARIABLE, LISTENERS_VARIABLE, "HEADGATE_LINK_FD")


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` with this interpreter.

    `-P` keeps the current directory out of the import path: an operator's own `config.py` would hide ours.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: ours, the place of our code, and `extra`."""
    environment = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
    # Not resolved: where a link such as `current` leads to our code, an upgrade follows it to the new one.
    root = str(Path(__file__).absolute().parent.parent)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path != root]
    environment["PYTHONPATH"] = os.pathsep.join([root, *paths])
    return {**environment, **extra}
