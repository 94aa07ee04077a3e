"""Programs of a benchmark: started on a chosen processor, measured by /proc, ended with their children."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# Below the range from which the system takes the ports of outgoing connections.
PORTS = range(18_000, 32_000)
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens.

    Raises:
        OSError: none was found in a hundred tries.
    """
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port found")


def pinned(command: Sequence[str], cpu: int | None) -> list[str]:
    """The command, bound to one processor where that is possible."""
    taskset = shutil.which("taskset")
    if cpu is None or taskset is None:
        return list(command)
    return [taskset, "-c", str(cpu), *command]


class Program:
    """One started program with all its children."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cpu: int | None,
        log: Path,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` with its output going to `log`."""
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                pinned(command, cpu),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=environment,
            )

    def tree(self) -> list[int]:
        """The program's process and all that descend from it."""
        found = [self._process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in children.read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """User and system time that the living processes of the tree have used so far."""
        return sum(_cpu_seconds(pid) for pid in self.tree())

    def rss_bytes(self) -> int:
        """Resident memory of the tree; shared pages count for each process."""
        return sum(_rss_bytes(pid) for pid in self.tree())

    def wait_listening(self, port: int) -> None:
        """Return when somebody listens on the port.

        Raises:
            RuntimeError: the program ended, or nobody listens in time; the message ends with its output.
        """
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"ended with {self._process.returncode}: {self._last_words()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"nobody listens on port {port}: {self._last_words()}")

    def stop(self) -> None:
        """End the program and whatever of its children is left."""
        pids = self.tree()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in pids[1:]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def _cpu_seconds(pid: int) -> float:
    """Of the threads that live, in nanoseconds where the kernel tells these; otherwise in ticks of 10 ms."""
    nanoseconds = 0
    for threads in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            nanoseconds += int(threads.read_text().split()[0])
    if nanoseconds:
        return nanoseconds / 1e9
    try:
        # The name of a process may hold spaces and parentheses, so fields count from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
