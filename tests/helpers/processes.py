"""Whole programs under test: started in a session of their own, so that whatever they leave can be found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxy.launch import child_environment, python_command

START_SECONDS = 60.0


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until `condition` is true and return its value; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)
    return value


def session_members(session: int) -> dict[int, str]:
    """Command lines by process id of everything alive in a session."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, _, owner = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if int(owner) == session and state not in "ZX":
            found[int(folder.name)] = line
    return found


def headgate(
    *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in a session of its own."""
    return subprocess.run(
        python_command("control.cli", *arguments),
        cwd=cwd,
        env=_environment(environ),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        start_new_session=True,
    )


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the background; at the end nothing of its session is left, asked or killed."""
    log = (cwd / "log").open("wb")
    process = subprocess.Popen(
        python_command(*arguments),
        cwd=cwd,
        env=_environment(None),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        log.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)
        for pid in session_members(process.pid):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def model_servers(*releases: str) -> Iterator[list[str]]:
    """The demonstration's model servers, one for each release; yields their URLs."""
    processes = [
        subprocess.Popen(
            python_command("control.demo.server", "--release", release),
            env=_environment(None),
            stdout=subprocess.PIPE,
            text=True,
        )
        for release in releases
    ]
    try:
        urls = []
        for process in processes:
            assert process.stdout is not None
            urls.append(json.loads(process.stdout.readline())["url"])
        yield urls
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    clean = {name: "" for name in ("HEADGATE_ADMIN", "HEADGATE_TOKEN") if name in os.environ}
    return child_environment({**clean, "NO_COLOR": "1", **(extra or {})})
