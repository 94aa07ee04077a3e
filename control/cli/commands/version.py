"""`headgate version`: what is running, for a bug report."""

from __future__ import annotations

import platform
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from control.cli.output import Format, emit, format_option

_LIBRARIES = ("uvloop", "aiohttp", "pydantic", "numpy", "scipy", "sqlalchemy")


def headgate_version() -> str:
    """The installed version, or `unknown` when run from files that were never installed."""
    try:
        return version("headgate")
    except PackageNotFoundError:
        return "unknown"


@click.command("version")
@format_option
def version_command(output: Format) -> None:
    """Print the version of Headgate and of what it runs on."""
    found: dict[str, str | None] = {
        "headgate": headgate_version(),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "hot path": "compiled" if _compiled() else "interpreted",
        **{name: _library(name) for name in _LIBRARIES},
    }
    text = "\n".join(f"{name} {value or 'not installed'}" for name, value in found.items())
    emit(found, output, text)


def _compiled() -> bool:
    """Whether the data plane's modules were compiled when Headgate was installed."""
    spec = find_spec("proxy.wire.head")
    return spec is not None and (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))


def _library(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
