"""Keep-alive connections to one endpoint: idle ones last in first out, waiters first come first served.

A connection that says anything, or closes, while it is idle leaves the pool at once; it is never handed out
after that. An idle connection has no deadline of its own set per request: the timer wheel holds it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

from proxy.faults import CONNECT_FAILED, TIMEOUT_CONNECT, Fault
from proxy.flow import PEER_FULL
from proxy.timers import NEVER
from proxy.upstream import CLOSED, IDLE, UpstreamConnection

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.endpoint import Endpoint
    from proxy.relay import Relay

# Exchanges that may wait for a connection to one endpoint; the next one is refused and counted as shed.
WAITERS_MAX: Final = 1024


class Pool:
    """The connections of one worker to one endpoint."""

    __slots__ = ("connecting", "endpoint", "gone", "idle", "open", "waiters", "worker")

    def __init__(self, worker: WorkerContext, endpoint: Endpoint) -> None:
        self.worker = worker
        self.endpoint = endpoint
        self.idle: list[UpstreamConnection] = []
        self.waiters: deque[Relay] = deque()
        self.open = 0
        self.connecting = 0
        # Addresses that the endpoint's name no longer stands for (`proxy.resolving`); None, nearly always.
        self.gone: set[str] | None = None

    def enqueue(self, relay: Relay) -> bool:
        """Let ``relay`` wait for a connection, opening one if there may be more; False when too many wait."""
        if len(self.waiters) >= WAITERS_MAX:
            return False
        self.waiters.append(relay)
        self._open_more()
        return True

    def dequeue(self, relay: Relay) -> None:
        """Forget a relay that does not wait any more."""
        if relay in self.waiters:
            self.waiters.remove(relay)

    def give_back(self, connection: UpstreamConnection) -> None:
        """Take a connection back whose exchange ended cleanly."""
        if connection.valve.holders:
            connection.valve.release(PEER_FULL)
        if connection.transport.is_closing():
            return
        if self.gone is not None and self._has_left(connection):
            connection.close()
            return
        connection.state = IDLE
        if self.waiters and self._reuse(connection):
            return
        worker = self.worker
        live = worker.live
        idle = self.idle
        if worker.draining or len(idle) >= live.pool_idle_max:
            connection.close()
            return
        idle.append(connection)
        wheel = worker.wheel
        deadline = wheel.now + live.upstream_idle + 1 if live.upstream_idle else NEVER
        if NEVER < connection.placed <= deadline:
            connection.deadline = deadline
        else:
            wheel.set_at(connection, deadline)

    def forget(self, connection: UpstreamConnection) -> None:
        """Leave out a connection that is about to be closed."""
        if connection in self.idle:
            self.idle.remove(connection)

    def lost(self, connection: UpstreamConnection, *, idle: bool) -> None:
        """A connection is gone, for whatever reason; those who wait get another."""
        self.open -= 1
        if idle:
            self.forget(connection)
        if self.waiters:
            self._open_more()

    def leave(self, addresses: Iterable[str]) -> None:
        """Use no connection to these addresses any more; requests that are on one end there."""
        self.gone = (self.gone or set()) | set(addresses)
        for connection in self.idle[:]:
            if self._has_left(connection):
                connection.close()

    def back(self, addresses: Iterable[str]) -> None:
        """Use connections to these addresses again."""
        if self.gone is not None:
            self.gone = self.gone.difference(addresses) or None

    def _has_left(self, connection: UpstreamConnection) -> bool:
        peer = connection.transport.get_extra_info("peername")
        return self.gone is not None and isinstance(peer, tuple) and peer[0] in self.gone

    def close_idle(self) -> None:
        """Close what nobody uses."""
        for connection in self.idle[:]:
            connection.close()

    def _reuse(self, connection: UpstreamConnection) -> bool:
        """Give a used connection to whoever waits longest for the first time; False when it is free.

        Those who have lost a connection get a new one: this one may be closed just as well, and they have no
        further attempt. Where no more may be opened, it makes room for that.
        """
        for relay in self.waiters:
            if relay.attempts == 1:
                self.waiters.remove(relay)
                relay.connected(connection)
                return True
        if self._full():
            connection.close()
            return True
        return False

    def _full(self) -> bool:
        return self.open + self.connecting >= self.worker.live.table.limits.upstream_connections

    def _open_more(self) -> None:
        # Each waiter needs one, and those being opened will serve the first of them.
        if self.connecting < len(self.waiters) and not self._full():
            self.connecting += 1
            self.worker.spawn(self._connect())

    async def _connect(self) -> None:
        """Open one connection and give it to whoever waits longest."""
        worker = self.worker
        endpoint = self.endpoint
        seconds = worker.live.table.timeouts.connect
        fault: Fault | None = None
        connection: UpstreamConnection | None = None
        try:
            async with asyncio.timeout(seconds if seconds > 0 else None):
                protocol = await worker.dialer.open(endpoint.spec, self._make_connection)
            connection = cast(UpstreamConnection, protocol)
        except TimeoutError:
            fault = TIMEOUT_CONNECT
        except OSError:
            # Refused, unreachable, reset, a name that does not resolve or a certificate that is not believed
            # (socket.gaierror and ssl.SSLError are OSErrors).
            fault = CONNECT_FAILED
        finally:
            self.connecting -= 1
        if fault is not None:
            # One attempt fails one exchange: it may try elsewhere, the next in line tries here again.
            if self.waiters:
                self.waiters.popleft().connect_failed(fault)
            if self.waiters:
                self._open_more()
            return
        assert connection is not None
        if connection.state == CLOSED:
            if self.waiters:
                self._open_more()
            return
        connection.state = IDLE
        if self.waiters:
            self.waiters.popleft().connected(connection)
        else:
            # It may be closed while it is idle, as one that was used: that is no fault of its first request.
            connection.served = 1
            self.give_back(connection)

    def _make_connection(self) -> asyncio.BaseProtocol:
        self.open += 1
        # A protocol by its methods: compiled classes do not inherit from interpreted ones.
        return cast(asyncio.BaseProtocol, UpstreamConnection(self.worker, self))
