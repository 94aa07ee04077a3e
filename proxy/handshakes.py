"""Accepts connections and agrees on keys with their clients, a bounded number of them at a time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from proxy.counters import HANDSHAKES_FAILED
from proxy.tls import Files, ServerTls, server_context

if TYPE_CHECKING:
    from proxy.worker import Worker

# Handshakes under way in one worker; what comes then waits in the kernel's queue. Each takes about 60 KiB.
HANDSHAKES_MAX: Final = 512
# Connections taken at one turn of the loop, so that others have their turn.
ACCEPTED_MAX: Final = 32
SHUTDOWN_SECONDS: Final = 5.0


class TlsServer:
    """One listening socket with TLS. The plain ones are the event loop's own servers.

    The loop's servers could do this, too, but not stop at a number of handshakes, nor tell that one failed.
    """

    def __init__(
        self,
        worker: Worker,
        sock: socket.socket,
        tls: ServerTls,
        files: Files,
        factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._worker = worker
        self._sock = sock
        self._tls = tls
        self._context: ssl.SSLContext = server_context(tls, files)
        self._factory = factory
        self._under_way = 0
        self._reading = False

    def start(self, backlog: int) -> None:
        """Begin to accept."""
        self._sock.listen(backlog)
        self._resume()

    def use(self, files: Files) -> None:
        """Show clients from now on what these texts say; raises as `server_context`, and changes nothing."""
        self._context = server_context(self._tls, files)

    def close(self) -> None:
        """Accept nothing more; handshakes under way go on."""
        self._pause()
        self._sock.close()

    def adopt(self, accepted: socket.socket) -> None:
        """Agree on keys with one more client."""
        self._under_way += 1
        self._worker.accepting.adopting += 1
        self._worker.spawn(self._shake_hands(accepted))

    def _resume(self) -> None:
        if not self._reading and self._sock.fileno() >= 0:
            self._reading = True
            self._worker.loop.add_reader(self._sock, self._accept)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._worker.loop.remove_reader(self._sock)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_MAX):
            if self._under_way >= HANDSHAKES_MAX:
                self._pause()
                return
            try:
                accepted, _ = self._sock.accept()
            except OSError:
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.adopt(accepted)

    async def _shake_hands(self, accepted: socket.socket) -> None:
        worker = self._worker
        try:
            _, protocol = await worker.loop.connect_accepted_socket(
                self._factory,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._tls.handshake,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
            if worker.draining:
                worker.accepting.late(protocol)
        except (OSError, asyncio.IncompleteReadError):
            # No certificate, a wrong one, an old version, or a client that left: its own doing.
            worker.cells[HANDSHAKES_FAILED] += 1
            accepted.close()
        finally:
            self._under_way -= 1
            worker.accepting.adopting -= 1
            if self._under_way < HANDSHAKES_MAX // 2 and not worker.draining:
                self._resume()
            if worker.draining:
                worker.drained_one()
