"""The demonstration is a real program: it tells its story, says when that fails, and ends what it started."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.launch import child_environment, python_command
from tests.helpers.processes import headgate, wait_until


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: the path of the socket in the state directory has to fit into 107 bytes."""
    with TemporaryDirectory(prefix="hg-") as name:
        yield Path(name)


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demonstration with its temporary files in `folder`, its output in `folder/out`."""
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(
            python_command("control.demo", *arguments),
            stdout=out,
            stderr=out,
            text=True,
            env=child_environment({"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}),
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)


def told(folder: Path) -> str:
    return (folder / "out").read_text()


def left_behind(folder: Path) -> list[str]:
    """Files and processes of the demonstration that are still there; all have its TMPDIR."""
    found = [path.name for path in folder.glob("headgate-demo-*")]
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                environ = (process / "environ").read_bytes()
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"TMPDIR={folder}\0".encode() in environ and line:
                found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle leaves no process, no file and no traceback."""
    with demo(tmp_path) as process:
        wait_until(lambda: process.poll() is not None or "begin to flow" in told(tmp_path), 120, "traffic")
        assert process.poll() is None, told(tmp_path)
        assert left_behind(tmp_path)

        process.send_signal(number)

        assert process.wait(90) == 130
    assert "Traceback" not in told(tmp_path)
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_a_story_that_does_not_happen_is_a_failure(tmp_path: Path) -> None:
    """Too little time: exit code 1, where it stood, and everything ended."""
    with demo(tmp_path, "--duration", "9", "--rate", "20") as process:
        assert process.wait(180) == 1

    assert "demo: not over after 9 s" in told(tmp_path)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate", "0"],
        pytest.param(["--duration", "x"], marks=pytest.mark.slow),
        pytest.param(["--frobnicate"], marks=pytest.mark.slow),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    """Before anything starts."""
    with demo(tmp_path, *arguments) as process:
        assert process.wait(90) == 2
    assert "usage:" in told(tmp_path)


@pytest.mark.slow
def test_the_whole_story(tmp_path: Path) -> None:
    """Registered, approved, tried in three ways, promoted or rolled back, proven; no request unanswered."""
    with demo(tmp_path, "--keep") as process:
        wait_until(lambda: process.poll() is not None or "still running" in told(tmp_path), 300, "the end")
        text = told(tmp_path)
        assert process.poll() is None, text
        acts = (
            "bob approves, alice promotes: fraud@prod stands for fraud:v1",
            "v2 has answered no client",
            "EQUIVALENT  v2 failed",
            "and refused: routes.1.protected: upstream v2: fraud:v2 is not",
            "alice cannot approve it herself",
            "carol approves: approved",
            "ADVANCED  v2 0 % -> 10 %: shadow v2: ",
            "PROMOTED  v2",
            "fraud@prod has moved, fraud:v1 is kept",
            "ROLLED BACK  v3",
            "fraud:v3 is quarantined",
            "The log is whole.",
            "The log is NOT whole",
        )
        plain = " ".join(text.split())
        places = [plain.find(" ".join(act.split())) for act in acts]
        assert -1 not in places, (acts[places.index(-1)], text)
        assert places == sorted(places), text
        assert " 0 without an answer" in text

        # What is left running can be asked, as the last lines invite to.
        admin = re.search(r"HEADGATE_ADMIN=(\S+)", text)
        assert admin is not None
        why, status = (
            headgate(*command, cwd=tmp_path, environ={"HEADGATE_ADMIN": admin[1]})
            for command in (("why", "fraud"), ("status",))
        )
        assert why.returncode == 0, why.stderr
        assert "rolled back: canary v3 goes from 10 % to 0 %" in why.stdout
        assert "To blame: error_rate_rise." in why.stdout
        assert re.search(r"canary +\d+ of \d+ failed: \S+ % \[.*\] \(Wilson\)", why.stdout)
        assert re.search(r"^p99 +[\d.]+ m?s \[", why.stdout, re.MULTILINE)
        assert "fraud:v3 is quarantined" in status.stdout

        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0
    assert left_behind(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
