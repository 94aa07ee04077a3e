"""Workers under test, forked from one process that has loaded their code: each starts in milliseconds.

A worker's code takes a quarter of a second to load, and hundreds of tests have a worker of their own. What is
forked does all that `python -m proxy.worker` does, from its `main` on.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from typing import Any, NoReturn

from proxy.launch import child_environment, python_command
from proxy.link import LINK_FD_VARIABLE

POLL_SECONDS = 0.005


class ForkedProcess:
    """What tests use of `asyncio.subprocess.Process`, for a process that somebody else is the parent of."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status = status
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            with contextlib.suppress(BlockingIOError):
                self._code = int(os.read(self._status, 16))
                os.close(self._status)
        return self._code

    async def wait(self) -> int:
        """Wait for its end; return the exit code."""
        while (code := self.returncode) is None:  # noqa: ASYNC110 - whoever asks first takes the code
            await asyncio.sleep(POLL_SECONDS)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as nothing else can."""
        self.send_signal(signal.SIGKILL)


def fork_worker(link: int, listener: int) -> tuple[ForkedProcess, int]:
    """Start a worker on its end of the link; returns it and the number that `listener` has there."""
    status, theirs = os.pipe()
    os.set_blocking(status, False)
    parent = _parent()
    socket.send_fds(parent, [b"worker"], [link, listener, theirs])
    os.close(theirs)
    pid, number = parent.recv(64).split()
    return ForkedProcess(int(pid), status), int(number)


@cache
def _parent() -> socket.socket:
    """The process that forks, one for each process of tests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        python_command("tests.helpers.forked", str(theirs.fileno())),
        pass_fds=[theirs.fileno()],
        env=child_environment({"PYTHONWARNINGS": "error"}),
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class _Parent:
    """The process that forks: takes orders until its socket ends, and tells how each child has ended."""

    def __init__(self, orders: socket.socket, run: Any) -> None:
        self._orders = orders
        self._run = run
        self._statuses: dict[int, int] = {}
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._orders.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._orders.fileno() in ready:
                order, fds, _, _ = socket.recv_fds(self._orders, 64, 3)
                if not order:
                    return
                self._fork(*fds)

    def _fork(self, link: int, listener: int, status: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker(link, status)
        os.close(link)
        os.close(listener)
        self._statuses[pid] = status
        self._orders.send(b"%d %d" % (pid, listener))

    def _become_worker(self, link: int, status: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in {self._orders.fileno(), self._woken, self._wake, *self._statuses.values(), status}:
                os.close(fd)
            os.environ[LINK_FD_VARIABLE] = str(link)
            code = self._run()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        while self._statuses:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with os.fdopen(self._statuses.pop(pid), "wb") as told:
                told.write(b"%d" % os.waitstatus_to_exitcode(status))


def main() -> None:
    """Load what a worker needs, and fork when told to."""
    from proxy.splits.load import load_all
    from proxy.worker import main as run

    load_all()
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        _Parent(orders, run).serve()


if __name__ == "__main__":
    main()
