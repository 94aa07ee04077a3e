"""Which modules run compiled, and whether they still are what their source says."""

from __future__ import annotations

import hashlib
import json
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

# Written beside this module by the build: each compiled source's path and SHA-256.
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
        digest = hashlib.sha256((root.parent / path).read_bytes()).hexdigest()
        if digests.get(path) != digest:
            stale.append(name)
    return stale
