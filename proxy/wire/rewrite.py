"""Heads on their way out: bytes without the lines that stay behind, and single values."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

OWS: Final = b" \t"


def cut(data: bytes, start: int, end: int, cuts: list[int]) -> bytes:
    """`data[start:end]` without the ranges `cuts`, ascending offsets [start, end, start, end, ...] of `data`.

    Ranges that lie outside are of no effect, so that a head can be written in parts.
    """
    if len(cuts) == 2 and start <= cuts[0] and cuts[1] <= end:
        return data[start : cuts[0]] + data[cuts[1] : end]
    pieces: list[bytes] = []
    position = start
    for index in range(0, len(cuts), 2):
        first = cuts[index]
        if first >= end:
            break
        if first > position:
            pieces.append(data[position:first])
        if cuts[index + 1] > position:
            position = cuts[index + 1]
    if position < end:
        pieces.append(data[position:end])
    return b"".join(pieces)


def header(data: bytes, start: int, end: int, name: bytes) -> bytes | None:
    """The first value of the field `name` (lower-case) among the valid lines `data[start:end]`, or None.

    benchmarks/micro/bench_wire.py: half the time of searching a lower-cased copy of the head.
    """
    # `start` is behind the CRLF of the start line, so each name has a line feed before it.
    match = _search(name)(data, start - 1, end)
    return match[1].rstrip(OWS) if match is not None else None


@lru_cache(maxsize=256)  # names come from a configuration; the bound is for callers who forget that
def _search(name: bytes) -> Callable[[bytes, int, int], re.Match[bytes] | None]:
    return re.compile(rb"\n(?i:" + re.escape(name) + rb"):[ \t]*+([^\r]*+)").search
