"""Looks for fields by name in a head that was checked before, in one pass."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from proxy.wire.grammar import COMPILED

LINE_FEED: Final = 10
COLON: Final = 58
CASE: Final = 32


def names_field(head: bytes, stop: i64, names: list[bytes]) -> bool:
    """Whether a line of the head `head[:stop]` begins with one of `names`: lower-case, colon included."""
    if not names:
        return False
    if not COMPILED:
        # A loop over bytes is what only the compiled form is quick at.
        lowered = head[:stop].lower()
        return any(lowered.find(b"\n" + name) >= 0 for name in names)
    i: i64 = 0
    while i < stop:
        c: i64 = head[i]
        i += 1
        if c != LINE_FEED:
            continue
        for name in names:
            size: i64 = len(name)
            # The place of the colon tells nearly all others apart; a slice is dear.
            if i + size <= stop:
                c = head[i + size - 1]
                if c == COLON:
                    c = head[i]
                    if c | CASE == name[0] | CASE and head[i : i + size].lower() == name:
                        return True
    return False
