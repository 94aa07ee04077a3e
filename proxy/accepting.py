"""The sockets on which one worker accepts connections: its own, and those of a worker that is away."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from proxy.downstream import Downstream
from proxy.handshakes import TlsServer
from proxy.tls import Files, ServerTls

if TYPE_CHECKING:
    from proxy.link import Listen
    from proxy.worker import Worker

# More than the kernel queues for a listener by default (net.core.somaxconn).
QUEUED_MAX: Final = 8192


class Accepting:
    """Accepts on the sockets of a slot: one for each listener, lent by the process that opened them.

    The sockets outlive this worker. While its slot has no worker, a sibling covers it, so that connections
    which the kernel has spread to that socket do not wait.
    """

    def __init__(self, worker: Worker, listeners: list[Listen], index: int, files: Files) -> None:
        self._worker = worker
        self._listeners = listeners
        self._index = index
        self._files = files
        self._servers: dict[int, list[tuple[asyncio.Server | TlsServer, socket.socket, bool]]] = {}
        # Connections taken from the kernel's queue that have no protocol yet.
        self.adopting = 0

    async def start(self) -> list[tuple[str, int]]:
        """Accept on the worker's own sockets; return their addresses. Raises OSError."""
        servers = await self._serve(self._index)
        return [sock.getsockname()[:2] for _, sock, _ in servers]

    async def cover(self, slots: list[int]) -> None:
        """Accept on the sockets of these slots, besides the own one, and of no others."""
        for slot in self._servers.keys() - {self._index, *slots}:
            for server, _, _ in self._servers.pop(slot):
                server.close()
        for slot in slots:
            if slot not in self._servers and not self._worker.draining:
                await self._serve(slot)

    def use(self, files: Files) -> None:
        """Show clients other certificates from now on. Raises as `proxy.tls.server_context` does."""
        self._files = files
        for servers in self._servers.values():
            for server, _, _ in servers:
                if isinstance(server, TlsServer):
                    server.use(files)

    async def _serve(self, slot: int) -> list[tuple[asyncio.Server | TlsServer, socket.socket, bool]]:
        servers = self._servers.setdefault(slot, [])
        for listener in self._listeners:
            if slot != self._index and len(listener.fds) == 1:
                # One socket for all: this worker accepts on it already.
                continue
            sock = socket.socket(fileno=os.dup(listener.fds[slot % len(listener.fds)]))
            sock.setblocking(False)
            server: asyncio.Server | TlsServer
            if listener.tls is not None:
                tls = ServerTls(listener.tls)
                server = TlsServer(self._worker, sock, tls, self._files, self._make_downstream)
                server.start(listener.backlog)
            else:
                server = await self._worker.loop.create_server(
                    self._make_downstream, sock=sock, backlog=listener.backlog
                )
            servers.append((server, sock, listener.given))
        return servers

    def _make_downstream(self) -> asyncio.BaseProtocol:
        # A protocol by its methods: compiled classes do not inherit from interpreted ones.
        return cast(asyncio.BaseProtocol, Downstream(self._worker))

    def stop(self, *, final: bool, adopted: Callable[[], None]) -> None:
        """Accept nothing more, except what the kernel has accepted for us; `adopted` follows each of these.

        `final` ends the sockets for everybody who has them: nobody comes after us, so clients are refused
        from now on rather than left waiting. Those of a service manager are its own to end.
        """
        for servers in self._servers.values():
            for server, sock, given in servers:
                self._accept_queued(server, sock, adopted)
                if final and not given:
                    sock.shutdown(socket.SHUT_RD)
                server.close()
        self._servers.clear()
        for listener in self._listeners:
            for descriptor in listener.fds:
                os.close(descriptor)
        self._listeners = []

    def late(self, protocol: object) -> None:
        """Drain a connection that was agreed on after the others were told to drain."""
        if self._worker.ending:
            cast(Any, protocol).drain()

    def _accept_queued(
        self, server: asyncio.Server | TlsServer, sock: socket.socket, adopted: Callable[[], None]
    ) -> None:
        """Take the connections in the queue: if nobody else has the socket, closing it would reset them."""
        for _ in range(QUEUED_MAX):
            try:
                accepted, _ = sock.accept()
            except OSError:
                return
            accepted.setblocking(False)
            if isinstance(server, TlsServer):
                server.adopt(accepted)
                continue
            self.adopting += 1
            self._worker.spawn(self._adopt(accepted, adopted))

    async def _adopt(self, accepted: socket.socket, adopted: Callable[[], None]) -> None:
        try:
            _, protocol = await self._worker.loop.connect_accepted_socket(self._make_downstream, accepted)
            self.late(protocol)
        finally:
            self.adopting -= 1
            adopted()
