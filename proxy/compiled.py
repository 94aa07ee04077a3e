"""Which modules run compiled, and whether they still are what their source says."""

from __future__ import annotations

import json
import os
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import source_hash
from typing import Final, TypeAlias

# Written beside this module by the build: each compiled source's path and the hash by which Python tells
# whether bytecode is of a source.
RECORD: Final = "compiled.json"
# As text: a worker asks this once, and pathlib with what it imports would be 0.7 of its 30 MB.
Folder: TypeAlias = str | os.PathLike[str]
ROOT: Final = __file__.rpartition("/")[0]


def compiled_modules(root: Folder = ROOT) -> list[str]:
    """Return the names of the modules under ``root`` (the package) that have a compiled form."""
    found: set[str] = set()
    above = len(_above(root)) + 1
    for folder, _, files in os.walk(root):
        present = set(files)
        for file in files:
            for suffix in EXTENSION_SUFFIXES:
                stem = file.removesuffix(suffix)
                if stem != file and f"{stem}.py" in present:
                    found.add(f"{folder}/{stem}"[above:].replace("/", "."))
    return sorted(found)


def stale_modules(root: Folder = ROOT) -> list[str]:
    """Return the compiled modules whose source has changed since: running them would run the old source."""
    names = compiled_modules(root)
    if not names:
        return []
    try:
        digests = _record(root)
    except (OSError, ValueError):
        return names
    stale: list[str] = []
    for name in names:
        path = name.replace(".", "/") + ".py"
        with open(f"{_above(root)}/{path}", "rb") as source:
            digest = source_hash(source.read()).hex()
        if digests.get(path) != digest:
            stale.append(name)
    return stale


def unfinished(root: Folder = ROOT) -> bool:
    """Whether a build here began and did not end, or its result was lost in part.

    What has no compiled form then runs interpreted, which is right and slow, and nobody asked for.
    """
    try:
        recorded = _record(root)
    except OSError:
        return False
    except ValueError:
        return True
    names = {path.removesuffix(".py").replace("/", ".") for path in recorded}
    return not names or not names <= set(compiled_modules(root))


def form(root: Folder = ROOT) -> str:
    """How the hot path runs: `compiled`, `interpreted`, or `unfinished` where a build left both behind."""
    if unfinished(root):
        return "unfinished"
    return "compiled" if compiled_modules(root) else "interpreted"


def _record(root: Folder) -> dict[str, str]:
    with open(f"{os.fspath(root)}/{RECORD}", encoding="utf-8") as file:
        digests: dict[str, str] = json.load(file)
    return digests


def _above(root: Folder) -> str:
    return os.fspath(root).rpartition("/")[0]
