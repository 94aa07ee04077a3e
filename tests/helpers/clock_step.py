"""A wall clock that a test can set for all processes it starts; steady time goes on, as on a real machine."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

# Python imports a module of this name when it starts. Everybody asks `time.time` and `time.time_ns`.
_SITE = """
import mmap, os, struct, time

with open(os.environ["HEADGATE_TEST_CLOCK"], "r+b") as file:
    _page = mmap.mmap(file.fileno(), 8)
_time, _time_ns = time.time, time.time_ns


def _offset():
    return struct.unpack("<d", _page[:8])[0]


time.time = lambda: _time() + _offset()
time.time_ns = lambda: _time_ns() + int(_offset() * 1e9)
"""


class WallClock:
    """The wall clock of programs that are started after this was made."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._page = folder / "clock-offset"
        self.step_to(0.0)
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_SITE)
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        monkeypatch.setenv("HEADGATE_TEST_CLOCK", str(self._page))

    def step_to(self, seconds: float) -> None:
        """Let the wall clock be so far from the machine's, at once and for all processes."""
        with self._page.open("r+b" if self._page.exists() else "wb") as file:
            file.write(struct.pack("<d", seconds))
