"""One slice of time: load on one proxy, and what it cost."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.contenders import Contender
from benchmarks.load.processes import pinned
from benchmarks.load.workloads import Mode, Workload

WARM_UP_SECONDS = 0.25
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one slice gave. Times in microseconds; CPU is user and system time of the process tree."""

    workload: str
    peer: str
    round: int
    seconds: float
    count: int
    failures: int
    cpu_us: float
    rss_bytes: int
    load_cpu_share: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float

    @property
    def cost_us(self) -> float:
        """CPU time per request, or per event of a stream."""
        return self.cpu_us / self.count

    @property
    def rate(self) -> float:
        """Requests or events a second."""
        return self.count / self.seconds


class LoadSource:
    """Runs the compiled load source, always on the same processor."""

    def __init__(self, program: Path, *, cpu: int | None) -> None:
        self._program = program
        self._cpu = cpu

    def run(self, workload: Workload, port: int, seconds: float) -> dict[str, float]:
        """Load the port and return the counts that the source printed.

        Raises:
            RuntimeError: the source failed; the message says why.
        """
        command = [
            *(str(self._program), str(port), workload.target, str(workload.connections), f"{seconds:.3f}"),
            *(str(workload.body_bytes), f"{workload.rate:g}", workload.mode.value, *workload.headers),
        ]
        try:
            done = subprocess.run(
                pinned(command, self._cpu), capture_output=True, text=True, timeout=seconds + PATIENCE_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"load source: not done after {error.timeout:.0f} s") from error
        if done.returncode != 0:
            raise RuntimeError(f"load source: {done.stderr[-500:] or done.returncode}")
        counts: dict[str, float] = json.loads(done.stdout)
        return counts


@contextlib.contextmanager
def idle_connections(port: int, workload: Workload) -> Iterator[None]:
    """Keep the workload's idle connections open; each has had one answer."""
    request = f"GET {workload.target} HTTP/1.1\r\nHost: idle\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(workload.idle):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS))
            client.sendall(request)
            if not client.recv(65536):
                raise RuntimeError("an idle connection was closed at once")
        yield


def measure(
    source: LoadSource,
    contender: Contender,
    workload: Workload,
    seconds: float,
    number: int,
    *,
    warm_up: float = WARM_UP_SECONDS,
) -> Slice:
    """Load one proxy for one slice, after a short warm-up that is not counted.

    Raises:
        RuntimeError: the load source failed, or nothing was answered.
    """
    with idle_connections(contender.port, workload):
        source.run(workload, contender.port, warm_up)
        before = contender.program.cpu_seconds()
        counts = source.run(workload, contender.port, seconds)
        cpu_seconds = contender.program.cpu_seconds() - before
        rss_bytes = contender.program.rss_bytes()
    count = int(counts["events"] if workload.mode is Mode.EVENTS else counts["answers"])
    if count == 0:
        raise RuntimeError(f"{contender.name}: no answer to {workload.name} in {seconds} s")
    return Slice(
        workload=workload.name,
        peer=contender.name,
        round=number,
        seconds=counts["seconds"],
        count=count,
        failures=int(counts["failures"]),
        cpu_us=cpu_seconds * 1e6,
        rss_bytes=rss_bytes,
        load_cpu_share=counts["cpu_seconds"] / counts["seconds"],
        p50_us=counts["p50_us"],
        p90_us=counts["p90_us"],
        p99_us=counts["p99_us"],
        p999_us=counts["p999_us"],
    )
