"""Prints the demonstration: every line with the time since it began, long reasons wrapped."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from control.cli.figures import share
from control.cli.output import Block, plain

_MARGIN = 11


class Narrator:
    """Tells what happens, in order; colour only on a terminal that wants it."""

    def __init__(self, out: TextIO = sys.stdout, *, colour: bool | None = None) -> None:
        self._out = out
        self._began = time.monotonic()
        self._colour = out.isatty() if colour is None else colour
        self._width = min(110, shutil.get_terminal_size((100, 24)).columns)

    @property
    def elapsed(self) -> float:
        """Seconds since the demonstration began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """One thing that happened."""
        self._print(f"{self.elapsed:6.1f} s   ", text)

    def act(self, title: str) -> None:
        """A new part of the story."""
        self._out.write("\n")
        self._print(f"{self.elapsed:6.1f} s   ", self._bold(title))

    def decision(self, decision: Mapping[str, Any]) -> None:
        """A decision as it was made, with its reason."""
        kind = str(decision["kind"]).replace("_", " ").upper()
        before, after = decision["from_weight"], decision["to_weight"]
        weights = share(after) if before == after else f"{share(before)} -> {share(after)}"
        self._print(
            f"{self.elapsed:6.1f} s   ",
            f"{self._bold(kind)}  {decision['canary']} {weights}: {decision['reason']}",
        )

    def block(self, blocks: Sequence[Block]) -> None:
        """Tables and texts, set off like everything else."""
        self.plain(textwrap.indent(plain(blocks), " " * _MARGIN))

    def plain(self, text: str) -> None:
        """Text that is laid out already."""
        self._out.write(text + "\n")
        self._out.flush()

    def _print(self, head: str, text: str) -> None:
        lines = textwrap.wrap(text, self._width - _MARGIN, break_long_words=False) or [""]
        self._out.write(head + ("\n" + " " * _MARGIN).join(lines) + "\n")
        self._out.flush()

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._colour else text
