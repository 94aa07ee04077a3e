"""Servers nobody here wrote: started on a port of their own, waited for, and ended with their children."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.processes import session_members, wait_until
from tests.real.environments import isolated

START_SECONDS = 120.0
STOP_SECONDS = 15.0

# Below the range that the system takes ports of outgoing connections from, so that none is taken meanwhile.
PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens; for servers that cannot be told to choose one."""
    found: list[int] = []
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"of a hundred ports only {len(found)} were free")


@contextmanager
def serving(
    command: Sequence[str | Path],
    *,
    url: str,
    ready: str,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run a server in `cwd` until the block ends; yields `url` once `url + ready` answers 200."""
    log = cwd / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=isolated(cwd) | dict(environ or {}),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _answers(process, url + ready, log), START_SECONDS, f"an answer of {url}{ready}")
        yield url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
        for pid in session_members(process.pid):
            os.kill(pid, signal.SIGKILL)


def _answers(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, f"{url} ended:\n{log.read_text('utf-8', 'replace')[-4000:]}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
