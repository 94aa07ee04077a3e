"""Memory and system calls of a worker: `python -m benchmarks.load.footprint [--tree DIR] [--python FILE]`.

Resident memory of an idle worker, of an idle client connection, and system calls per request (by strace).
"""

import argparse
import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.build import build
from benchmarks.load.contenders import ROOT, Contender, headgate
from benchmarks.load.machine import interpreter
from benchmarks.load.processes import Program, free_port
from benchmarks.load.slices import LoadSource
from benchmarks.load.workloads import WORKLOADS

IDLE_CONNECTIONS = 1000
SETTLE_SECONDS = 1.0
LOAD_SECONDS = 4.0
_CALLS = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)


@contextlib.contextmanager
def running(tree: Path, python: str, directory: Path) -> Iterator[tuple[Contender, LoadSource]]:
    """Headgate from a source tree in front of the static upstream, both on any processor."""
    port = free_port()
    upstream = Program(
        [str(build("upstream", directory)), str(port)],
        cpu=None,
        log=directory / "upstream.log",
        cwd=directory,
    )
    try:
        upstream.wait_listening(port)
        proxy = Contender(
            headgate("headgate", tree, python), upstream=port, directory=directory / "headgate", cpu=None
        )
        try:
            yield proxy, LoadSource(build("load", directory), cpu=None)
        finally:
            proxy.program.stop()
    finally:
        upstream.stop()


def worker_of(contender: Contender) -> int:
    """Return the process id of its worker.

    Raises:
        RuntimeError: there is none.
    """
    for pid in contender.program.tree():
        if b"proxy.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise RuntimeError("the agent has no worker")


def memory(pid: int, field: str = "VmRSS") -> int:
    """Return a size of a process in bytes, as /proc knows it."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def per_idle_connection(contender: Contender, pid: int) -> float:
    """Return the bytes that one more idle client costs the worker, after one request each."""
    request = b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n"
    with contextlib.ExitStack() as stack:
        before = memory(pid)
        for _ in range(IDLE_CONNECTIONS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", contender.port), 5))
            client.sendall(request)
            client.recv(65536)
        time.sleep(SETTLE_SECONDS)
        return (memory(pid) - before) / IDLE_CONNECTIONS


def system_calls(contender: Contender, source: LoadSource, pid: int) -> dict[str, float] | None:
    """Return system calls per request of W1, by name; None without strace."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    tracer = subprocess.Popen([strace, "-c", "-f", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    time.sleep(SETTLE_SECONDS)
    counts = source.run(WORKLOADS["w1"], contender.port, LOAD_SECONDS)
    tracer.send_signal(signal.SIGINT)
    table = tracer.communicate(timeout=20)[1]
    found = [(name, int(number)) for number, name in _CALLS.findall(table) if name != "total"]
    calls = {name: number / counts["answers"] for name, number in found}
    return {"all": sum(calls.values())} | {name: value for name, value in calls.items() if value >= 0.005}


def main() -> None:
    """Measure one tree and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT, help="source tree of Headgate; default this one")
    parser.add_argument("--python", default=sys.executable, help="what runs it; default %(default)s")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="headgate-footprint-") as name,
        running(options.tree.resolve(), options.python, Path(name)) as (contender, source),
    ):
        time.sleep(SETTLE_SECONDS)
        pid = worker_of(contender)
        figures: dict[str, object] = {
            "interpreter": interpreter(options.python),
            "worker_rss_mb": round(memory(pid) / 1e6, 1),
            "worker_anonymous_mb": round(memory(pid, "RssAnon") / 1e6, 1),
        }
        # Warm first, so that only connections are counted.
        source.run(WORKLOADS["w1"], contender.port, 1.0)
        figures["bytes_per_idle_connection"] = round(per_idle_connection(contender, pid))
        figures["system_calls_per_request"] = system_calls(contender, source, pid)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
