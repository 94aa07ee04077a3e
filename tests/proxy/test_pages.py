"""Tests of the reading side of counter pages."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy import counters
from proxy.counters import CounterPage, PageError
from proxy.outcomes import Outcome
from proxy.pages import PageReader, has_writer, uncounted
from tests.helpers.pages import begin, count, end

BOOT = "00000000000000ff"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """An empty page of worker 1."""
    place = str(tmp_path / "w.page")
    CounterPage.create(place, boot=BOOT, index=1, slots=8)
    return place


@pytest.fixture
def page(path: str) -> Iterator[CounterPage]:
    """The page, open for writing."""
    page = CounterPage.open_for_writing(path)
    yield page
    page.close()


def test_reader_sees_every_store_at_once(path: str, page: CounterPage) -> None:
    """What the writer counted is what the reader reads, without a message or a flush."""
    reader = PageReader(path)

    count(page.cells, 3, 5)
    count(page.cells, 3, 2, Outcome.RESET)

    cells = reader.slot(3)
    assert cells[counters.STARTED] == cells[counters.FINISHED] == 7
    assert cells[counters.OUTCOME_0 + Outcome.OK] == 5
    assert cells[counters.OUTCOME_0 + Outcome.RESET] == cells[counters.FAILED] == 2
    assert cells[counters.SUM_TOTAL_US] == 5000
    assert (reader.boot, reader.index, reader.slots) == (BOOT, 1, 8)
    reader.close()


def test_reader_cannot_write(path: str, page: CounterPage) -> None:
    """One writer a page: the reader's mapping refuses stores."""
    reader = PageReader(path)

    with pytest.raises(TypeError):
        reader.cells[counters.STARTED] = 1
    reader.close()


def test_requests_in_flight(path: str, page: CounterPage) -> None:
    """In flight is what has begun and not finished."""
    reader = PageReader(path)

    begin(page.cells, 2)
    begin(page.cells, 2)
    end(page.cells, 2)

    assert reader.open_requests(2) == uncounted(reader.slot(2)) == 1
    reader.close()


@pytest.mark.parametrize("size", [0, 8, 512, 600, 6000])
def test_torn_file_is_refused(path: str, size: int) -> None:
    """A reader never maps less than the header promises."""
    os.truncate(path, size)

    with pytest.raises(PageError, match="remove the file"):
        PageReader(path)


def test_killed_writer_loses_no_cell(path: str) -> None:
    """A writer that is killed between two stores leaves every store before that readable."""
    program = (
        "import os, signal\n"
        "from proxy.counters import CounterPage\n"
        "from tests.helpers.pages import begin, count\n"
        f"page = CounterPage.open_for_writing({path!r})\n"
        "count(page.cells, 1, 1234)\n"
        "begin(page.cells, 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    writer = subprocess.run([sys.executable, "-c", program], timeout=60)

    reader = PageReader(path)
    assert writer.returncode == -signal.SIGKILL
    assert reader.slot(1)[counters.OUTCOME_0 + Outcome.OK] == 1234
    assert reader.open_requests(1) == 1
    assert not has_writer(path)
    reader.close()


def test_writer_is_known_by_its_lock(path: str) -> None:
    """A page has a writer exactly while a process has it open for writing."""
    assert not has_writer(path)

    page = CounterPage.open_for_writing(path)

    assert has_writer(path)
    page.close()
    assert not has_writer(path)
    assert not has_writer(path + ".gone")
