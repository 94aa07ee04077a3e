"""Programs that tests need and that are no Python packages: found, or installed, or the reason why not."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

_ROOT = Path(__file__).parent.parent.parent
_NODE_MODULES = _ROOT / ".venv-node"
_INSTALL_SECONDS = 180


def _without(what: str) -> NoReturn:
    """Skip, but never where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def program(name: str, package: str) -> str:
    """The path of a program of a Debian package."""
    found = shutil.which(name)
    if found is None:
        _without(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


@cache
def node_package(name: str, version: str) -> Path:
    """The folder of a package for Node.js, installed into the checkout when it is not there yet."""
    folder = _NODE_MODULES / f"{name}-{version}"
    if not (folder / "installed").exists():
        npm = program("npm", "npm")
        folder.mkdir(parents=True, exist_ok=True)
        arguments = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            done = subprocess.run(
                [npm, *arguments, "--prefix", str(folder), f"{name}@{version}"],
                capture_output=True,
                text=True,
                timeout=_INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            _without(f"npm took longer than {_INSTALL_SECONDS} s to install {name}")
        if done.returncode != 0:
            _without(f"npm could not install {name}: {done.stderr[-500:]}")
        (folder / "installed").touch()
    return folder / "node_modules"


def java_home() -> str:
    """The folder of the Java that `java` starts, which Debian's scripts do not find out by themselves."""
    return str(Path(program("java", "default-jre-headless")).resolve().parent.parent)
