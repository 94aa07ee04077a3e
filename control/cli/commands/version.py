"""`headgate version`: what is running, for a bug report."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from control.cli.output import Format, emit, format_option
from proxy.compiled import compiled_modules, form, stale_modules
from proxy.release import version as running_version

_LIBRARIES = ("uvloop", "aiohttp", "pydantic", "numpy", "scipy", "sqlalchemy")


def headgate_version() -> str:
    """The version of what runs, installed or a checkout."""
    return running_version()


@click.command("version")
@format_option
def version_command(output: Format) -> None:
    """Print the version of Headgate and of what it runs on."""
    found: dict[str, str | None] = {
        "headgate": headgate_version(),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "hot path": hot_path(),
        **{name: _library(name) for name in _LIBRARIES},
    }
    text = "\n".join(f"{name} {value or 'not installed'}" for name, value in found.items())
    emit(found, output, text)


def hot_path() -> str:
    """How the modules that every request passes through run."""
    modules = compiled_modules()
    if form() == "unfinished":
        return "interpreted, for a build did not end; run make build or make pure"
    if not modules:
        return "interpreted"
    stale = stale_modules()
    if stale:
        return f"compiled from other source: {', '.join(stale)}; run make build or make pure"
    return f"compiled: {', '.join(modules)}"


def _library(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
