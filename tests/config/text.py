"""Configuration texts that tests vary, and short ways to load them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from config.load import Loaded, load_text
from config.problems import ConfigError

SMALL: Final = """\
listeners:
  - bind: "127.0.0.1:8080"
upstreams:
  v1:
    endpoints: ["http://127.0.0.1:9001"]
routes:
  - name: all
    upstream: v1
"""


def load(text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """Load a text that is in order."""
    return load_text(text, file="h.yaml", environ=environ or {})


def problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The lines that loading a text reports."""
    with pytest.raises(ConfigError) as caught:
        load_text(text, file="h.yaml", environ=environ or {})
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def only_problem(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The one line that loading a text reports."""
    found = problems(text, environ)
    assert len(found) == 1, found
    return found[0]
