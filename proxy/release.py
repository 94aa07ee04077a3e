"""The version of the program that runs."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@cache
def version() -> str:
    """Return the version of the installed distribution; "0" when the source runs uninstalled."""
    try:
        return installed("headgate")
    except PackageNotFoundError:
        return "0"
