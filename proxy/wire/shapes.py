"""Expressions for heads like one before: the same names in the same order, as most of a client's heads.

An expression that takes any plain head looks at each line for what it may be. One for given names has nothing
to choose: half the time (benchmarks/micro/bench_wire.py). It takes no head that the general one does not
take, and finds the same in it, because it is made from that one's rules and a head that it took.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.wire.grammar import VALUE_RE

# A head that has none of these shapes costs a failed look at each.
SHAPES_MAX: Final = 3
# Making an expression takes a millisecond, so the first is made after so many heads without a shape, and each
# further one after twice as many: whoever sends another shape each time gets nothing by it.
PATIENCE: Final = 16
# Longer heads are not worth the time that making the expression takes.
LINES_MAX: Final = 32
NAMES_BYTES_MAX: Final = 512


class Shape:
    """One of them: `match` is its `fullmatch`, `groups` the numbers of what the general expression finds."""

    __slots__ = ("groups", "match")

    def __init__(self, expression: bytes, groups: tuple[int, ...]) -> None:
        self.match = re.compile(expression).fullmatch
        self.groups = groups


class Shapes:
    """The shapes of late of one kind of head, the last one found first; used where nothing is compiled.

    Args:
        start: expression for the start line, with the first groups.
        finds: the groups behind them: the lower-case name of the line, and what follows its name. Of a line
            without the latter all is found, and it is the same in each head of the shape.
    """

    __slots__ = ("_finds", "_missed", "_patience", "_start", "known")

    def __init__(self, start: bytes, finds: list[tuple[bytes, bytes]]) -> None:
        self.known: list[Shape] = []
        self._start = start
        self._finds = finds
        self._missed = 0
        self._patience = PATIENCE

    def found(self, shape: Shape) -> None:
        """Look for this one first, next time."""
        self.known.remove(shape)
        self.known.insert(0, shape)

    def miss(self, lines: bytes) -> None:
        """The general expression took a head with these lines, which has no known shape."""
        self._missed += 1
        if self._missed < self._patience:
            return
        self._missed = 0
        self._patience *= 2
        self.learn(lines)

    def learn(self, lines: bytes) -> None:
        """Make an expression for heads with lines of these names, each with its CRLF."""
        shape = self._shape(lines.split(b"\r\n")[:-1])
        if shape is not None:
            self.known = [shape, *self.known[: SHAPES_MAX - 1]]

    def _shape(self, lines: list[bytes]) -> Shape | None:
        names = [line[: line.index(b":")] for line in lines]
        if len(names) > LINES_MAX or sum(map(len, names)) > NAMES_BYTES_MAX:
            return None
        expression = self._start
        first = number = re.compile(self._start).groups
        numbers: dict[bytes, int] = {}
        behind = dict(self._finds)
        for name, line in zip(names, lines, strict=True):
            lower = name.lower()
            if lower not in behind:
                expression += re.escape(name) + rb":" + VALUE_RE + rb"\r\n"
                continue
            number += 1
            numbers[lower] = number
            expression += re.escape(name) + behind[lower] if behind[lower] else _all(line)
        # A group that takes no part stands for the lines that this shape has not.
        absent = number + 1
        found = (numbers.get(name, absent) for name, _ in self._finds)
        return Shape(expression + rb"(?:(?!)())?", (*range(1, first + 1), *found))


def _all(line: bytes) -> bytes:
    return rb"(" + re.escape(line) + rb"\r\n)"
