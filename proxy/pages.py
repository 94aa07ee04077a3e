"""Reading counter pages that other processes write, without ever writing them."""

import fcntl
import mmap
import os
from typing import Final

from proxy.counters import (
    BOOT,
    CELL_BYTES,
    FAILED,
    FINISHED,
    HEADER_CELLS,
    INDEX,
    OUTCOME_0,
    SLOT_CELLS,
    SLOT_COUNT,
    STARTED,
    PageError,
    check_header,
    slot_base,
)
from proxy.outcomes import OUTCOMES
from proxy.shadow.cells import ELIGIBLE, MIRRORED_0, SIZE_CLASSES, SKIPPED

# A copy is retried when a request ended while it was made. At 5 000 requests a second on one arm a copy of
# 2 µs meets one every hundredth time, so four tries in a row fail once in 10^8; and the next sample is right.
READ_TRIES: Final = 4


class PageReader:
    """A page open for reading. Raises PageError, or OSError, when the file is no usable page."""

    def __init__(self, path: str) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size < HEADER_CELLS * CELL_BYTES:
                raise PageError(f"{path}: {size} bytes is too short for a counter page; remove the file")
            self._mapping = mmap.mmap(descriptor, size - size % CELL_BYTES, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self.cells = memoryview(self._mapping).cast("Q")
        try:
            check_header(self.cells, size, path)
        except PageError:
            self.close()
            raise
        self.boot: str = f"{self.cells[BOOT]:016x}"
        self.index: int = self.cells[INDEX]
        self.slots: int = self.cells[SLOT_COUNT]
        self._bytes = memoryview(self._mapping)

    def header(self) -> list[int]:
        """Return a copy of the header cells."""
        return self.cells[:HEADER_CELLS].tolist()

    def slot_bytes(self, slot: int) -> bytes:
        """Return a copy of one slot that no request changed while it was made, as far as can be told."""
        start = slot_base(slot) * CELL_BYTES
        stop = start + SLOT_CELLS * CELL_BYTES
        head = start + (FAILED + 1) * CELL_BYTES
        for _ in range(READ_TRIES):
            copy = bytes(self._bytes[start:stop])
            if copy[: head - start] == self._bytes[start:head]:
                break
        return copy

    def slot(self, slot: int) -> list[int]:
        """Return a copy of the cells of one slot."""
        return memoryview(self.slot_bytes(slot)).cast("Q").tolist()

    def open_requests(self, slot: int) -> int:
        """Return how many requests of a slot have begun and are not wholly counted, also of dead writers."""
        base = slot_base(slot)
        # Finished first: the other way round, a request begun and ended in between would make it negative.
        cells = self.cells
        finished = cells[base + FINISHED]
        skipped = cells[base + SKIPPED]
        mirrored = sum(cells[base + MIRRORED_0 + size] for size in range(SIZE_CLASSES))
        # What a shadow may still copy is open, too.
        held = cells[base + ELIGIBLE] - skipped - mirrored
        return cells[base + STARTED] - finished + held

    def close(self) -> None:
        """Unmap the page."""
        if hasattr(self, "_bytes"):
            self._bytes.release()
        self.cells.release()
        self._mapping.close()


def uncounted(cells: list[int]) -> int:
    """Return how many requests of a slot have begun and have no outcome yet."""
    return max(0, cells[STARTED] - sum(cells[OUTCOME_0 : OUTCOME_0 + OUTCOMES]))


def has_writer(path: str) -> bool:
    """Return whether a live process writes the page at `path`; False when the file is gone.

    The lock decides, not the process number in the header: numbers are used again.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
