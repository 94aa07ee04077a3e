"""Which modules run compiled, and whether they still are what their source says."""

from __future__ import annotations

import json
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import source_hash
from pathlib import Path
from typing import Final

# Written beside this module by the build: each compiled source's path and the hash by which Python tells
# whether bytecode is of a source.
RECORD: Final = "compiled.json"
ROOT: Final = Path(__file__).resolve().parent


def compiled_modules(root: Path = ROOT) -> list[str]:
    """Return the names of the modules under ``root`` (the package) that have a compiled form."""
    found: set[str] = set()
    for suffix in EXTENSION_SUFFIXES:
        for path in root.rglob(f"*{suffix}"):
            stem = path.relative_to(root.parent).as_posix().removesuffix(suffix)
            if (root.parent / f"{stem}.py").exists():
                found.add(stem.replace("/", "."))
    return sorted(found)


def stale_modules(root: Path = ROOT) -> list[str]:
    """Return the compiled modules whose source has changed since: running them would run the old source."""
    names = compiled_modules(root)
    if not names:
        return []
    try:
        digests = json.loads((root / RECORD).read_text())
    except (OSError, ValueError):
        return names
    stale: list[str] = []
    for name in names:
        path = name.replace(".", "/") + ".py"
        digest = source_hash((root.parent / path).read_bytes()).hex()
        if digests.get(path) != digest:
            stale.append(name)
    return stale


def unfinished(root: Path = ROOT) -> bool:
    """Whether a build here began and did not end, or its result was lost in part.

    What has no compiled form then runs interpreted, which is right and slow, and nobody asked for.
    """
    try:
        recorded = json.loads((root / RECORD).read_text())
    except OSError:
        return False
    except ValueError:
        return True
    names = {path.removesuffix(".py").replace("/", ".") for path in recorded}
    return not names or not names <= set(compiled_modules(root))


def form(root: Path = ROOT) -> str:
    """How the hot path runs: `compiled`, `interpreted`, or `unfinished` where a build left both behind."""
    if unfinished(root):
        return "unfinished"
    return "compiled" if compiled_modules(root) else "interpreted"
