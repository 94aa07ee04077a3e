"""Remembers which reports of feedback have been taken, in a constant amount of memory that survives a kill.

Two Bloom filters in a mapped file: what is new goes into the younger one, both are asked. When the younger is
full or old enough, the elder is emptied and takes its place. So a report is remembered for at least half of
`AGE_SECONDS` or the next `ENTRIES_MAX` reports, whichever is less, and taken for a duplicate by mistake with
a chance of at most one in four thousand.

Reference: Bloom 1970 (space/time trade-offs in hash coding).
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

BITS: Final = 2**23
HASHES: Final = 8
# (1 - exp(-HASHES * ENTRIES_MAX / BITS)) ** HASHES is 1.2e-4 for one full filter.
ENTRIES_MAX: Final = 400_000
AGE_SECONDS: Final = 7 * 24 * 3600
_FILTER_BYTES: Final = BITS // 8
_HEADER_BYTES: Final = 64
_MAGIC: Final = b"HGSEEN01"


class Seen:
    """The set of what has been taken. Entries are at least 12 uniformly distributed bytes."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; one that is not ours is made anew. Raises OSError."""
        size = _HEADER_BYTES + 2 * _FILTER_BYTES
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size != size or os.pread(descriptor, len(_MAGIC), 0) != _MAGIC:
                os.ftruncate(descriptor, 0)
                # Reserved now: a store into a hole of a full disk would kill the process.
                os.posix_fallocate(descriptor, 0, size)
                os.pwrite(descriptor, _MAGIC, 0)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._map)[8:_HEADER_BYTES].cast("Q")
        self._filters = [
            memoryview(self._map)[_HEADER_BYTES + i * _FILTER_BYTES :][:_FILTER_BYTES] for i in (0, 1)
        ]

    # The header's numbers: which filter is the younger, entries in it, when it was begun.

    @property
    def entries(self) -> int:
        """How many entries the younger filter holds."""
        return int(self._numbers[1])

    def add(self, entry: bytes, now: float) -> bool:
        """Remember an entry; False when it has been seen before. `now` in Unix seconds."""
        numbers = self._numbers
        if numbers[1] >= ENTRIES_MAX or abs(now - numbers[2]) > AGE_SECONDS / 2:
            self._turn(now)
        places = self._places(entry)
        if any(all(kept[at >> 3] >> (at & 7) & 1 for at in places) for kept in self._filters):
            return False
        young = self._filters[numbers[0] & 1]
        for at in places:
            young[at >> 3] |= 1 << (at & 7)
        numbers[1] += 1
        return True

    def close(self) -> None:
        """Unmap the file; it stays."""
        self._numbers.release()
        for kept in self._filters:
            kept.release()
        self._map.close()

    def _turn(self, now: float) -> None:
        """Empty the elder filter and let it be the younger one."""
        numbers = self._numbers
        numbers[0] ^= 1
        self._filters[numbers[0] & 1][:] = bytes(_FILTER_BYTES)
        numbers[1] = 0
        numbers[2] = max(0, int(now))

    @staticmethod
    def _places(entry: bytes) -> list[int]:
        first, step = int.from_bytes(entry[:6], "big"), int.from_bytes(entry[6:12], "big") | 1
        return [(first + i * step) % BITS for i in range(HASHES)]
