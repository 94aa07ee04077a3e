"""Tests of naming and signalling processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.processes import ProcessRecord, read_records, resident_bytes, start_ticks, write_records


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that would go on for ever."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def record(pid: int, ticks: int) -> ProcessRecord:
    """A record of worker 0."""
    return ProcessRecord(
        pid=pid, start_ticks=ticks, boot="00", worker=0, page="/p", addresses=[["127.0.0.1", 80]]
    )


def test_process_is_known_by_number_and_start(process: subprocess.Popen[bytes]) -> None:
    """The same number with another start time is another process, and is left alone."""
    ticks = start_ticks(process.pid)
    assert ticks is not None
    stranger = record(process.pid, ticks + 1)

    assert record(process.pid, ticks).alive
    assert not stranger.alive
    assert not stranger.send(signal.SIGKILL)
    assert process.poll() is None


def test_signal_reaches_the_process(process: subprocess.Popen[bytes]) -> None:
    """The right process gets the signal; once it is gone nothing is sent."""
    mine = record(process.pid, start_ticks(process.pid) or 0)

    assert mine.send(signal.SIGTERM)

    assert process.wait(timeout=60) == -signal.SIGTERM
    assert not mine.alive
    assert not mine.send(signal.SIGTERM)


def test_zombie_is_not_alive(process: subprocess.Popen[bytes]) -> None:
    """A process that has ended and was not waited for counts as gone."""
    mine = record(process.pid, start_ticks(process.pid) or 0)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert not mine.alive


def test_memory_of_a_process(process: subprocess.Popen[bytes]) -> None:
    """Resident memory is that of the process, and 0 for none."""
    assert resident_bytes(os.getpid()) > 5_000_000
    process.kill()
    process.wait()
    assert resident_bytes(process.pid) == 0


def test_records_are_read_back(tmp_path: Path) -> None:
    """What one agent wrote the next one reads."""
    path = tmp_path / "workers.json"
    records = [record(1, 2), record(3, 4)]

    write_records(path, records)

    assert read_records(path) == records


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '[{"pid": 1}]', "null"])
def test_damaged_list_is_no_list(tmp_path: Path, content: str) -> None:
    """A list that cannot be read names nobody, rather than somebody wrong."""
    path = tmp_path / "workers.json"
    path.write_text(content)

    assert read_records(path) == []
    assert read_records(tmp_path / "none.json") == []
