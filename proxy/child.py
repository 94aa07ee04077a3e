"""One worker process as its agent sees it: started, told tables, waited for."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from proxy.launch import child_environment
from proxy.link import LINK_FD_VARIABLE, Lines, LinkError, Message, encode_message
from proxy.processes import ProcessRecord, start_ticks
from proxy.slots import Table

log = logging.getLogger("headgate.workers")

# What a worker says about itself is shown to people: one line, not a traceback without end.
MESSAGE_LENGTH_MAX: Final = 2000
LINK_GRACE_SECONDS: Final = 0.5


class WorkerChild(asyncio.Protocol):
    """A worker process and the agent's end of the link to it.

    At most one table is under way to a worker at a time and the newest one wins, so a slow worker holds up
    no memory. `changed` is called whenever the worker says something, and when the link is lost.
    """

    def __init__(self, process: subprocess.Popen[bytes], index: int, changed: Callable[[], None]) -> None:
        self.process = process
        self.pid = process.pid
        self.index = index
        self.ready = False
        self.draining = False
        self.addresses: list[list[Any]] = []
        self.revision_acked = 0
        self.message = ""
        self.endpoints: list[list[Any]] = []
        self.exited = asyncio.Event()
        self._changed = changed
        self._lines = Lines()
        self._transport: asyncio.Transport | None = None
        self._under_way = 0
        self._refused = 0
        self._first_revision = 0
        self._covered: list[int] = []
        self._start_ticks = start_ticks(process.pid) or 0
        # Not asyncio's own subprocess: that one kills its children when the loop closes, and workers shall
        # outlive an agent that fails.
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    @staticmethod
    async def spawn(
        command: Sequence[str], index: int, changed: Callable[[], None], inherited: Sequence[int] = ()
    ) -> "WorkerChild":
        """Start a worker, which gets `inherited` under their numbers; it does nothing before `start`.

        Raises OSError.
        """
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program, no wait
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *inherited),
                env=child_environment({LINK_FD_VARIABLE: str(theirs.fileno())}),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        child = WorkerChild(process, index, changed)
        ours.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: child, sock=ours)
        return child

    def _on_exit(self) -> None:
        self.process.wait()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.exited.set()

    def record(self, boot: str, page: str) -> ProcessRecord:
        """Return what another agent needs to find this process."""
        return ProcessRecord(
            pid=self.pid,
            start_ticks=self._start_ticks,
            boot=boot,
            worker=self.index,
            page=page,
            addresses=self.addresses,
        )

    def start(self, message: Message) -> None:
        """Tell the worker what to do; the first message of all."""
        self._under_way = self._first_revision = message["table"]["revision"]
        self._send(message)

    def offer(self, table: Table) -> None:
        """Send a table unless the worker has it, refused it, or has another one still to acknowledge."""
        revision = table["revision"]
        if self._under_way or revision <= max(self.revision_acked, self._refused):
            return
        self._under_way = revision
        self._send({"type": "table", "table": table})

    @property
    def revision_oldest(self) -> int:
        """The oldest revision that this worker may still begin a request by."""
        return self.revision_acked or self._first_revision

    def tell_health(self, down: dict[str, list[str]]) -> None:
        """Say which endpoints probes find down, by upstream."""
        self._send({"type": "health", "down": down})

    def drain(self) -> None:
        """Ask the worker to stop accepting, to finish what is in flight and to exit."""
        self.draining = True
        self._send({"type": "drain"})
        # The signal says the same to a worker whose link is stuck or lost. Not at once: one that is just
        # starting has no handler for it, and would be killed.
        asyncio.get_running_loop().call_later(LINK_GRACE_SECONDS, self.signal, signal.SIGINT)

    def certificates(self, files: Mapping[str, str]) -> None:
        """Let the worker use these PEM texts, by path, from now on."""
        self._send({"type": "certificates", "files": dict(files)})

    def cover(self, slots: list[int]) -> None:
        """Tell the worker to accept on the sockets of these slots as well."""
        if slots != self._covered and self.ready:
            self._covered = slots
            self._send({"type": "cover", "slots": slots})

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process still runs."""
        if not self.exited.is_set():
            self.process.send_signal(number)

    def close(self) -> None:
        """Close the link of a process that has exited."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, message: Message) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode_message(message))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._lines.feed(data):
                self._receive(message)
        except (LinkError, KeyError, TypeError) as exc:
            log.error("worker %d (process %d) sent no message of ours: %r", self.index, self.pid, exc)
            self.signal(signal.SIGKILL)
        self._changed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        # The link of a process that ends is lost just before its end is noticed.
        asyncio.get_running_loop().call_later(LINK_GRACE_SECONDS, self._is_deaf)
        self._changed()

    def _is_deaf(self) -> None:
        """Replace a worker that lives without a link: it would route by its last table for ever."""
        if not (self.exited.is_set() or self.draining):
            log.error("worker %d (process %d) has lost its link; replacing it", self.index, self.pid)
            self.draining = True
            self.signal(signal.SIGTERM)

    def _receive(self, message: Message) -> None:
        kind = message["type"]
        if kind == "ack":
            self.revision_acked = max(self.revision_acked, message["revision"])
            self._under_way = 0
        elif kind == "ready":
            self.addresses = [[str(host), int(port)] for host, port in message["addresses"]]
            self.ready = True
            self.message = ""
        elif kind == "error":
            self.message = str(message["message"])[:MESSAGE_LENGTH_MAX]
            log.error("worker %d (process %d): %s", self.index, self.pid, self.message)
            # Whatever it is about, the worker goes on with the table it has; a newer one may be offered.
            self._refused, self._under_way = self._under_way, 0
        elif kind == "endpoints":
            self.endpoints = message["rows"]
        elif kind == "draining":
            self.draining = True
        elif kind != "drained":
            raise LinkError(f"unknown message {kind!r}")
