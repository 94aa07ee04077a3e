"""Counter pages: a memory-mapped file of unsigned 64-bit cells per worker, which alone writes it.

A page is a header of `HEADER_CELLS` cells and then `slots` slots of `SLOT_CELLS` cells. A slot counts one
arm; slot 0 counts nothing that is reported and means "no arm". Recording is `cells[base + STARTED] = n`: a
plain store into shared memory, no lock, no system call, no message. The kernel keeps the file when the writer
is killed, so everything it had counted can still be read.

Readers never write. A counter only grows; a gauge (named so below) may go both ways. Of one request the
writer adds `STARTED` first and its outcome at the end, so that `STARTED` less all outcomes is what is in
flight. Its bytes, times and group follow within a tenth of a second, and `FINISHED` after them: once that has
caught up with `STARTED`, nothing about these requests is outstanding.
"""

import fcntl
import mmap
import os
import sys
from typing import Final

from proxy.histogram import BUCKETS, bucket_index, bucket_upper_edge
from proxy.outcomes import OUTCOMES

__all__ = ["CounterPage", "PageBusyError", "PageError", "bucket_index", "bucket_upper_edge", "slot_base"]

MAGIC_VALUE: Final = int.from_bytes(b"HEADGATE", sys.byteorder)
LAYOUT_VERSION: Final = 8
CELL_BYTES: Final = 8
HEADER_CELLS: Final = 64
# An arm in 24 KiB; 256 of them outlast the slowest drain at one weight change a second and cost 6 MiB of
# disk a worker, of which only the cells that count something are ever in memory.
SLOTS: Final = 256

# Header: who writes this page.
MAGIC: Final = 0
VERSION: Final = 1
PID: Final = 2
BOOT: Final = 3
INDEX: Final = 4
SLOT_COUNT: Final = 5
CELLS_PER_SLOT: Final = 6
# Header: how the worker is.
REVISION: Final = 7  # gauge: revision of the table in use
HEARTBEAT_NS: Final = 8  # gauge: CLOCK_MONOTONIC of the last beat
LOOP_LAG_US_MAX: Final = 9  # gauge: worst lateness of a beat since the worker started
RELOADS: Final = 10  # tables applied
TABLES_REFUSED: Final = 11
LAST_LAG_US: Final = 12  # gauge: lateness of the last beat
# Header: what belongs to no arm.
CONNECTIONS_ACCEPTED: Final = 16
CONNECTIONS_OPEN: Final = 17  # gauge
CONNECTIONS_REFUSED: Final = 18  # over limits.connections
REQUESTS: Final = 19  # complete heads, whatever became of them
REQUESTS_MALFORMED: Final = 20
REQUESTS_UNMATCHED: Final = 21
REQUESTS_TIMED_OUT_HEAD: Final = 22
REQUESTS_TIMED_OUT_BODY: Final = 23
REQUESTS_REFUSED: Final = 24  # well formed, over a limit that its client has to keep
UPSTREAM_CONNECTIONS_OPENED: Final = 27
UPSTREAM_CONNECTIONS_OPEN: Final = 28  # gauge
UPSTREAM_CONNECTIONS_REUSED: Final = 29
UPSTREAM_CONNECTIONS_DISCARDED: Final = 30  # idle ones that were closed, or held bytes nobody asked for
TUNNELS: Final = 31
TUNNELS_OPEN: Final = 32  # gauge
KEEPALIVE_EXPIRED: Final = 33
RETRIES_DENIED: Final = 34  # for want of budget
INTERNAL_ERRORS: Final = 35  # exceptions that a loop survived: always a bug of ours
OVERLOAD: Final = 36  # gauge: degree of overload (proxy.admission)
HANDSHAKES_FAILED: Final = 38  # clients that did not agree on keys
MODEL_NAMES_KEPT: Final = 39  # messages in which a model name could not be replaced
QUEUED: Final = 37  # gauge: requests that wait for a place at their upstream

# Slot: counts of one arm.
STARTED: Final = 0
# What changes with nearly every request is partly stored later (`proxy.slot_counts`).
ATTEMPTS: Final = 1
BYTES_IN: Final = 2
BYTES_OUT: Final = 3
SUM_TOTAL_US: Final = 4
SUM_FIRST_BYTE_US: Final = 5
OUTCOME_0: Final = 6
# Literals all along: a sum is a look-up by name to the compiled hot path.
FINISHED: Final = 22
RETRIES: Final = 23
DIVERTED: Final = 24
PROBES: Final = 25
DIVERT_SCORE: Final = 26  # gauge: failures in a row, as the divert counts them
DIVERTED_FLAG: Final = 27  # gauge: 1 while this worker diverts the arm
FAILED: Final = 28  # finished with an outcome that the route counts as a failure
# Streams of tokens, on routes that look at them (proxy.streams).
STREAMS: Final = 29  # event streams begun
STREAMS_UNREAD: Final = 30  # compressed, or not of the kind that is understood
STREAMS_STALLED: Final = 31  # with at least one pause that was too long
STREAMS_TRUNCATED: Final = 32  # without their end, although the client stayed
STREAMS_BROKEN: Final = 33  # with an error inside
STREAM_TOKENS: Final = 34
SUM_FIRST_TOKEN_US: Final = 35
SUM_TOKEN_GAP_US: Final = 36
SUM_TOKEN_TIME_US: Final = 37
HIST_TOTAL: Final = 40
HIST_FIRST_BYTE: Final = 401
# Requests and failures by group of keys, for routes that assign by a key. Constant in size however many keys
# there are; the groups differ in traffic and in failures as much as keys do, which is what is to be known.
GROUPS: Final = 64
GROUPS_STARTED: Final = 762
GROUPS_FAILED: Final = 826
# Custom metrics of the route, in its order: `METRIC_CELLS` each (proxy.metric_counts).
METRICS_MAX: Final = 4
METRIC_CELLS: Final = 128
METRICS: Final = 890
# Cells of shadows, see `proxy.shadow.cells`; nought in every other slot.
SHADOW_0: Final = 1408
SHADOW_CELLS: Final = 104
# Of streams: when the first token came, the time between two, and the mean of that in a good stream.
HIST_FIRST_TOKEN: Final = 1512
HIST_TOKEN_GAP: Final = 1873
HIST_TOKEN_TIME: Final = 2234
# By outcome: failures while an endpoint failed in a row, and those among them that count all the same; what
# is between the two is left out where the arm is judged (proxy.ejection).
ASIDE_0: Final = 2600
RETURNED_0: Final = 2616
# Answers by how slow they were, and within each class by group of keys (proxy.key_times).
GROUP_TIMES: Final = 2632
TIME_CLASSES: Final = 6
SLOT_CELLS: Final = 3016

assert OUTCOME_0 + OUTCOMES == FINISHED
assert FAILED < STREAMS
assert SUM_TOKEN_TIME_US < HIST_TOTAL
assert HIST_TOTAL + BUCKETS == HIST_FIRST_BYTE
assert HIST_FIRST_BYTE + BUCKETS == GROUPS_STARTED
assert GROUPS_STARTED + GROUPS == GROUPS_FAILED
assert GROUPS_FAILED + GROUPS == METRICS
assert METRICS + METRICS_MAX * METRIC_CELLS <= SHADOW_0
assert SHADOW_0 + SHADOW_CELLS == HIST_FIRST_TOKEN
assert HIST_FIRST_TOKEN + BUCKETS == HIST_TOKEN_GAP
assert HIST_TOKEN_GAP + BUCKETS == HIST_TOKEN_TIME
assert HIST_TOKEN_TIME + BUCKETS <= ASIDE_0
assert ASIDE_0 + OUTCOMES == RETURNED_0
assert RETURNED_0 + OUTCOMES == GROUP_TIMES
assert GROUP_TIMES + TIME_CLASSES * GROUPS == SLOT_CELLS

_HEADER_GAUGES: Final = (REVISION, HEARTBEAT_NS, LOOP_LAG_US_MAX, LAST_LAG_US, CONNECTIONS_OPEN)
_HEADER_GAUGES_UPSTREAM: Final = (UPSTREAM_CONNECTIONS_OPEN, TUNNELS_OPEN, OVERLOAD, QUEUED)


class PageError(Exception):
    """A file is not a counter page that this version can use."""


class PageBusyError(PageError):
    """Another live process writes this page."""


def slot_base(slot: int) -> int:
    """Return the cell number where `slot` begins."""
    return HEADER_CELLS + slot * SLOT_CELLS


def page_bytes(slots: int) -> int:
    """Return the size in bytes of a page of `slots` slots."""
    return (HEADER_CELLS + slots * SLOT_CELLS) * CELL_BYTES


def check_header(cells: memoryview, size: int, where: str) -> None:
    """Raise PageError unless `cells` (of a file of `size` bytes) begins with a header of this layout."""
    if cells[MAGIC] != MAGIC_VALUE:
        raise PageError(f"{where}: not a counter page (magic {cells[MAGIC]:#018x}); remove the file")
    if cells[VERSION] != LAYOUT_VERSION or cells[CELLS_PER_SLOT] != SLOT_CELLS:
        raise PageError(
            f"{where}: page layout {cells[VERSION]} with {cells[CELLS_PER_SLOT]} cells a slot, this version"
            f" reads layout {LAYOUT_VERSION} with {SLOT_CELLS}; run what wrote it, or remove the file"
        )
    expected = page_bytes(cells[SLOT_COUNT])
    if size != expected:
        raise PageError(f"{where}: {size} bytes long, its header asks for {expected}; remove the file")


class CounterPage:
    """A page open for writing. `cells` is indexed directly by hot code; everything else here is cold."""

    def __init__(self, descriptor: int, mapping: mmap.mmap) -> None:
        self._descriptor = descriptor
        self._mapping = mapping
        self.cells: memoryview = memoryview(mapping).cast("Q")
        self.slots: int = self.cells[SLOT_COUNT]

    @staticmethod
    def create(path: str, *, boot: str, index: int, slots: int = SLOTS) -> None:
        """Make an empty page for worker `index` of `boot` (16 hexadecimal digits).

        Raises FileExistsError when the file is there, OSError when the disk is full.
        """
        header = memoryview(bytearray(HEADER_CELLS * CELL_BYTES)).cast("Q")
        header[MAGIC] = MAGIC_VALUE
        header[VERSION] = LAYOUT_VERSION
        header[BOOT] = int(boot, 16)
        header[INDEX] = index
        header[SLOT_COUNT] = slots
        header[CELLS_PER_SLOT] = SLOT_CELLS
        # Made under another name, so that no reader ever sees a page without its header.
        temporary = f"{path}.new"
        with open(temporary, "wb") as file:
            file.write(header.cast("B"))
            # Reserved now: a store into a hole of a full disk would kill the worker with SIGBUS.
            os.posix_fallocate(file.fileno(), 0, page_bytes(slots))
        os.link(temporary, path)
        os.unlink(temporary)  # noqa: PTH108 - workers import this module, and pathlib takes memory

    @staticmethod
    def open_for_writing(path: str) -> "CounterPage":
        """Open an existing page as its one writer and set its gauges back.

        A worker that replaces a dead one goes on in the same page, so its counters never go down. Raises
        PageBusyError while another process writes the page, PageError if the file is no page of this layout.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                raise PageBusyError(f"{path}: another process writes this page") from exc
            size = os.fstat(descriptor).st_size
            if size < HEADER_CELLS * CELL_BYTES:
                raise PageError(f"{path}: {size} bytes is too short for a counter page; remove the file")
            mapping = mmap.mmap(descriptor, size - size % CELL_BYTES)
            with memoryview(mapping) as view, view.cast("Q") as cells:
                check_header(cells, size, path)
            page = CounterPage(descriptor, mapping)
        except BaseException:
            os.close(descriptor)
            raise
        page._claim()
        return page

    def _claim(self) -> None:
        cells = self.cells
        for cell in _HEADER_GAUGES + _HEADER_GAUGES_UPSTREAM:
            cells[cell] = 0
        for slot in range(self.slots):
            base = slot_base(slot)
            cells[base + DIVERT_SCORE] = 0
            cells[base + DIVERTED_FLAG] = 0
        cells[PID] = os.getpid()

    def beat(self, now_ns: int, lag_us: int) -> None:
        """Say that the worker's loop runs, and how late this beat came."""
        cells = self.cells
        cells[HEARTBEAT_NS] = now_ns
        cells[LAST_LAG_US] = lag_us
        if lag_us > cells[LOOP_LAG_US_MAX]:
            cells[LOOP_LAG_US_MAX] = lag_us

    def close(self) -> None:
        """Unmap the page and give up writing it; the file stays."""
        self.cells.release()
        self._mapping.close()
        os.close(self._descriptor)
