"""The test vectors that independent software computed, read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("stats_vectors.json")


def load() -> dict[str, list[dict[str, Any]]]:
    """All vectors by name; each has an input (or a call), what is expected, and where that came from."""
    vectors: dict[str, list[dict[str, Any]]] = json.loads(_FILE.read_text(encoding="utf-8"))["vectors"]
    return vectors


VECTORS = load()
