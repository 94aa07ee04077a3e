"""Naming, signalling and watching processes without ever hitting a stranger that got a used number again."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxy.state import write_atomically

# Fields of /proc/<pid>/stat after the name in brackets, which may itself hold spaces and brackets.
_STATE: Final = 0
_START_TICKS: Final = 19


class ProcessRecord(NamedTuple):
    """A process as remembered in `workers.json`. The start time tells it from a later one of its number."""

    pid: int
    start_ticks: int
    boot: str
    worker: int
    page: str
    addresses: list[list[Any]]

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_ticks(self.pid) == self.start_ticks

    def send(self, number: signal.Signals) -> bool:
        """Signal the process; return False when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (ProcessLookupError, OSError):
            return False
        try:
            # The descriptor holds one process; whether it is ours is asked after it was opened.
            if not self.alive:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the machine did; None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else int(fields[_START_TICKS])


def exit_text(code: int) -> str:
    """Return how a process ended, in words; negative codes are signals."""
    if code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"signal {-code}"


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def write_records(path: Path, records: list[ProcessRecord]) -> None:
    """Replace the list of worker processes; OSError when the disk does not take it."""
    entries = [
        {
            "pid": record.pid,
            "start_ticks": record.start_ticks,
            "boot": record.boot,
            "index": record.worker,
            "page": record.page,
            "addresses": record.addresses,
        }
        for record in records
    ]
    write_atomically(path, json.dumps(entries).encode(), durable=False)


def read_records(path: Path) -> list[ProcessRecord]:
    """Return the remembered worker processes; none when the file is missing or damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return [
            ProcessRecord(
                pid=entry["pid"],
                start_ticks=entry["start_ticks"],
                boot=entry["boot"],
                worker=entry["index"],
                page=entry["page"],
                addresses=entry["addresses"],
            )
            for entry in json.loads(path.read_bytes())
        ]
    return []
