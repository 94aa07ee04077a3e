"""Mutations of known inputs; those that reach a new pair of lines in the parsers are mutated further."""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

WORDS = (
    b"\r\n \t : ; , = 0 1 a ff \r \n \0 \x7f \xff GET POST HTTP/1.1 HTTP/1.0 Host: chunked close * / http:// "
    b"Content-Length: Transfer-Encoding: Connection: Upgrade: Expect: 100-continue 0\r\n\r\n 5\r\nhello\r\n "
    b';a=b " \\ [::1] %20 # ?'
).split(b" ")
INPUT_BYTES_MAX = 2000


class Reached:
    """Pairs of lines of the parsers that were run one after the other."""

    def __init__(self) -> None:
        self.pairs: set[tuple[str, int, int]] = set()
        self._new = False

    def run(self, target: Callable[[bytes], None], data: bytes) -> bool:
        """Run a target; whether it reached something new."""
        self._new = False
        sys.settrace(self._call)
        try:
            target(data)
        finally:
            sys.settrace(None)
        return self._new

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        del event, arg
        name = frame.f_code.co_filename
        if "/proxy/wire/" not in name:
            return None
        before = 0

        def line(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal before
            del arg
            if event == "line":
                pair = (name, before, frame.f_lineno)
                if pair not in self.pairs:
                    self.pairs.add(pair)
                    self._new = True
                before = frame.f_lineno
            return line

        return line


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """The input with a few changes, some of them taken from another input."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(changed) + 1)
        what = rng.randrange(5)
        if what == 0:
            changed[at:at] = rng.choice(WORDS)
        elif what == 1:
            del changed[at : at + rng.randrange(1, 8)]
        elif what == 2 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif what == 3:
            changed[at:at] = changed[at : at + rng.randrange(1, 20)]
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            changed[at : at + rng.randrange(20)] = other[start : start + rng.randrange(1, 40)]
    return bytes(changed[:INPUT_BYTES_MAX])


def fuzz(
    target: Callable[[bytes], None],
    corpus: list[bytes],
    seed: int,
    *,
    seconds: float = math.inf,
    inputs_max: float = math.inf,
) -> tuple[int, int]:
    """Run for so long, or with so many inputs; how many were tried and how many pairs reached.

    The first failure is raised.

    The input that fails is a note of the exception.
    """
    rng = random.Random(seed)
    reached = Reached()
    inputs = list(corpus)
    tried = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until and tried < inputs_max:
        data = inputs[tried] if tried < len(corpus) else mutated(rng.choice(inputs), inputs, rng)
        tried += 1
        try:
            if reached.run(target, data) and tried > len(corpus):
                inputs.append(data)
        except AssertionError as exc:
            exc.add_note(f"input: {data!r}")
            raise
    return tried, len(reached.pairs)
