"""`headgate status --watch`, in a pipe and on a terminal, ended by Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from proxy.launch import child_environment, python_command
from tests.control.cli import samples
from tests.helpers.admin import AdminStandIn, admin_stand_in


@pytest.fixture
def admin() -> Iterator[AdminStandIn]:
    with admin_stand_in() as stand_in:
        stand_in.on("GET", "/v1/status", (200, samples.status()))
        yield stand_in


def watch(admin: AdminStandIn, *arguments: str) -> list[str]:
    return python_command(
        "control.cli", "status", "--watch", "--interval", "0.1", "--admin", admin.url, *arguments
    )


def test_a_program_reads_one_json_a_line(admin: AdminStandIn) -> None:
    """Each look is one line; Ctrl-C ends it as it should be ended, with exit code 0."""
    with subprocess.Popen(
        watch(admin, "-o", "json"),
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment({"PYTHONUNBUFFERED": "1"}),
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
    assert all(json.loads(line)["revision"] == 12 for line in lines)


def test_a_terminal_is_redrawn(admin: AdminStandIn) -> None:
    """The picture is drawn on a screen of its own, with the time, and the old screen comes back."""
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
        watch(admin),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=child_environment({"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}),
    )
    os.close(inner)
    try:
        seen = _read_until(terminal, b"Ctrl-C to leave", 60)
        process.send_signal(signal.SIGINT)
        seen += _read_until(terminal, b"\x1b[?1049l", 60)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)

    assert b"\x1b[?1049h" in seen
    assert b"route fraud" in seen
    assert b"24.7 %" in seen


def test_a_wrong_address_ends_it_at_once() -> None:
    """Nobody watches an address where nobody ever was."""
    command = python_command("control.cli", "status", "--watch", "--admin", "http://127.0.0.1:1")

    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=child_environment({})
    )

    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


def _read_until(terminal: int, wanted: bytes, seconds: float) -> bytes:
    seen = b""
    deadline = time.monotonic() + seconds
    while wanted not in seen:
        left = deadline - time.monotonic()
        assert left > 0, f"{wanted!r} did not come; {seen[-500:]!r} did"
        if select.select([terminal], [], [], left)[0]:
            seen += os.read(terminal, 65536)
    return seen
