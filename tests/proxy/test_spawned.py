"""Tests of children of the supervisor."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy import spawned as spawned_module
from proxy.spawned import Spawned


class Started:
    """Starts children and waits for their ends."""

    def __init__(self) -> None:
        self.children: list[Spawned] = []

    def child(self, program: str, descriptors: dict[str, int] | None = None) -> Spawned:
        child = Spawned("child", [sys.executable, "-c", program], descriptors or {})
        self.children.append(child)
        child.start_if_due()
        return child

    def wait(self, child: Spawned) -> float:
        _, status = os.waitpid(child.pid, 0)
        return child.ended(status)


@pytest.fixture
def started() -> Iterator[Started]:
    """Nothing runs on after the test."""
    started = Started()
    yield started
    for child in started.children:
        if child.running:
            child.kill_group()
            started.wait(child)


def test_child_gets_its_descriptor_and_no_other(started: Started) -> None:
    """A descriptor is handed on under its name; what is not named stays closed."""
    read, write = os.pipe()
    other = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(other, False)
    program = f"import os; os.fstat(int(os.environ['THE_FD'])); os.write({write}, b'x')"

    child = started.child(program, {"THE_FD": read})
    started.wait(child)

    assert child.exit_code == 1
    assert not os.get_inheritable(read)
    for descriptor in (read, write, other):
        os.close(descriptor)


def test_child_obeys_signals_and_the_terminal_not(started: Started) -> None:
    """A child blocks no signals, though we do, and is in a group of its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child = started.child("import time; time.sleep(60)")
        group = os.getpgid(child.pid)
        child.send(signal.SIGTERM)
        started.wait(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert group != os.getpgid(0)
    assert child.exit_code == -signal.SIGTERM
    assert child.ending() == "killed by SIGTERM"


def test_pauses_grow_and_end_with_a_steady_life(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash loop slows down to a bound; a life that was long enough begins anew with the shortest pause."""
    monkeypatch.setattr(spawned_module, "RESTART_DELAY_MAX", 0.8)
    monkeypatch.setattr(spawned_module, "STEADY_SECONDS", float("inf"))
    child = Spawned("child", [sys.executable, "-c", ""], {})
    child.pid = 1

    pauses = [child.ended(0) for _ in range(6)]
    monkeypatch.setattr(spawned_module, "STEADY_SECONDS", 0.0)
    steady = child.ended(0)

    assert pauses == [0.1, 0.2, 0.4, 0.8, 0.8, 0.8]
    assert steady == 0.1


def test_bound_of_pauses_can_be_lower(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others depend on is not left away for as long as the rest."""
    monkeypatch.setattr(spawned_module, "STEADY_SECONDS", float("inf"))
    child = Spawned("child", [sys.executable, "-c", ""], {}, delay_max=0.3)
    child.pid = 1

    assert [child.ended(0) for _ in range(4)] == [0.1, 0.2, 0.3, 0.3]


def test_no_start_before_its_time(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that has died is not started again during its pause, and is after it."""
    child = started.child("raise SystemExit(3)")
    ended = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: ended)
    pause = started.wait(child)

    monkeypatch.setattr(time, "monotonic", lambda: ended + pause - 0.001)
    child.start_if_due()
    assert (child.running, child.starts, child.ending()) == (False, 1, "exit code 3")
    monkeypatch.setattr(time, "monotonic", lambda: ended + pause + 0.001)
    child.start_if_due()
    assert (child.running, child.starts) == (True, 2)


def test_group_is_killed_with_grandchildren(started: Started, tmp_path: Path) -> None:
    """Killing a child kills what it has started."""
    note = tmp_path / "pid"
    program = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    child = started.child(program)
    deadline = time.monotonic() + 60
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    child.kill_group()
    started.wait(child)

    grandchild = int(note.read_text())
    while Path(f"/proc/{grandchild}/stat").exists():
        state = Path(f"/proc/{grandchild}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
