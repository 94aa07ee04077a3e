"""The version of the program that runs."""

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path


@cache
def version() -> str:
    """Return the version of the checkout that runs, or of what is installed; "0" without either."""
    try:
        # Beside a checkout, what is installed may be another version.
        text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text()
        return str(tomllib.loads(text)["project"]["version"])
    except (OSError, ValueError, KeyError):
        pass
    try:
        return installed("headgate")
    except PackageNotFoundError:
        return "0"
