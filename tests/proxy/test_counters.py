"""Tests of the writing side of counter pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy import counters
from proxy.counters import CounterPage, PageBusyError, PageError, slot_base

BOOT = "0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """An empty page of worker 3."""
    place = str(tmp_path / "w.page")
    CounterPage.create(place, boot=BOOT, index=3)
    return place


def test_new_page_says_whose_it_is(path: str) -> None:
    """The header names layout, boot, worker and the process that writes."""
    page = CounterPage.open_for_writing(path)

    assert page.cells[counters.BOOT] == int(BOOT, 16)
    assert page.cells[counters.INDEX] == 3
    assert page.cells[counters.PID] == os.getpid()
    assert page.slots == counters.SLOTS
    page.close()


def test_page_is_wholly_on_disk(path: str) -> None:
    """No store can hit a hole of a full disk: all blocks are reserved when the page is made."""
    status = Path(path).stat()

    assert status.st_size == counters.page_bytes(counters.SLOTS)
    assert status.st_blocks * 512 >= status.st_size


def test_existing_page_is_not_overwritten(path: str) -> None:
    """Making a page twice never throws counts away."""
    with pytest.raises(FileExistsError):
        CounterPage.create(path, boot=BOOT, index=3)


def test_counts_survive_the_writer(path: str) -> None:
    """A new writer goes on where the last one ended; only gauges begin anew."""
    base = slot_base(5)
    first = CounterPage.open_for_writing(path)
    first.cells[base + counters.STARTED] += 7
    first.cells[base + counters.DIVERTED_FLAG] = 1
    first.cells[base + counters.DIVERT_SCORE] = 9
    first.cells[counters.CONNECTIONS_OPEN] = 4
    first.cells[counters.CONNECTIONS_ACCEPTED] = 11
    first.close()

    second = CounterPage.open_for_writing(path)

    assert second.cells[base + counters.STARTED] == 7
    assert second.cells[base + counters.DIVERTED_FLAG] == 0
    assert second.cells[base + counters.DIVERT_SCORE] == 0
    assert second.cells[counters.CONNECTIONS_OPEN] == 0
    assert second.cells[counters.CONNECTIONS_ACCEPTED] == 11
    second.close()


def test_only_one_process_writes(path: str) -> None:
    """A second writer is refused while the first one lives, in whatever process it is."""
    page = CounterPage.open_for_writing(path)
    program = f"from proxy.counters import CounterPage; CounterPage.open_for_writing({path!r})"

    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert other.returncode == 1
    assert "PageBusyError" in other.stderr
    with pytest.raises(PageBusyError, match="another process writes this page"):
        CounterPage.open_for_writing(path)
    page.close()
    CounterPage.open_for_writing(path).close()


@pytest.mark.parametrize("size", [0, 8, 511, 512, 4096])
def test_short_file_is_refused(path: str, size: int) -> None:
    """A torn page is named, not mapped."""
    os.truncate(path, size)

    with pytest.raises(PageError, match=r"w\.page: .*remove the file"):
        CounterPage.open_for_writing(path)


def test_other_layout_is_refused(path: str) -> None:
    """A page of another version is not read as if it were ours."""
    with Path(path).open("r+b") as file:
        file.seek(counters.VERSION * 8)
        file.write((counters.LAYOUT_VERSION + 1).to_bytes(8, sys.byteorder))

    with pytest.raises(PageError, match="page layout 9 with 3016 cells a slot, this version reads layout 8"):
        CounterPage.open_for_writing(path)


def test_other_file_is_refused(tmp_path: Path) -> None:
    """Any other file is no page."""
    place = tmp_path / "other"
    place.write_bytes(b"x" * 8192)

    with pytest.raises(PageError, match="not a counter page"):
        CounterPage.open_for_writing(str(place))


def test_beat_keeps_the_worst_lag(path: str) -> None:
    """A beat tells the time and remembers how late a beat ever came."""
    page = CounterPage.open_for_writing(path)

    page.beat(1_000, 5)
    page.beat(2_000, 900)
    page.beat(3_000, 7)

    assert page.cells[counters.HEARTBEAT_NS] == 3_000
    assert page.cells[counters.LAST_LAG_US] == 7
    assert page.cells[counters.LOOP_LAG_US_MAX] == 900
    page.close()


def test_slot_cells_do_not_overlap() -> None:
    """Every counter of a slot has cells of its own."""
    single = [
        counters.STARTED,
        counters.FINISHED,
        *range(counters.OUTCOME_0, counters.OUTCOME_0 + 16),
        counters.BYTES_IN,
        counters.BYTES_OUT,
        counters.ATTEMPTS,
        counters.RETRIES,
        counters.DIVERTED,
        counters.PROBES,
        counters.DIVERT_SCORE,
        counters.DIVERTED_FLAG,
        counters.SUM_TOTAL_US,
        counters.SUM_FIRST_BYTE_US,
        counters.FAILED,
        *range(counters.STREAMS, counters.STREAM_TOKENS + 1),
        counters.SUM_FIRST_TOKEN_US,
        counters.SUM_TOKEN_GAP_US,
        counters.SUM_TOKEN_TIME_US,
    ]
    cells = [
        *single,
        *range(counters.HIST_TOTAL, counters.HIST_TOTAL + 361),
        *range(counters.HIST_FIRST_BYTE, counters.HIST_FIRST_BYTE + 361),
        *range(counters.SHADOW_0, counters.SHADOW_0 + counters.SHADOW_CELLS),
        *range(counters.HIST_FIRST_TOKEN, counters.HIST_FIRST_TOKEN + 361),
        *range(counters.HIST_TOKEN_GAP, counters.HIST_TOKEN_GAP + 361),
        *range(counters.HIST_TOKEN_TIME, counters.HIST_TOKEN_TIME + 361),
    ]

    assert len(cells) == len(set(cells))
    assert max(cells) < counters.SLOT_CELLS
