"""Connections of a shadow to one endpoint: their own, never those of the primary path.

Nobody waits in line here: a copy takes an idle connection or opens one. After a failure to connect, or many
answers in a row that broke off, the endpoint is left alone for a while, longer each time, and then gets one
copy at a time until it answers again: a dead shadow costs nothing per request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from proxy.outcomes import CLIENT_ABORT, CONNECT_FAILED, TIMEOUT_CONNECT
from proxy.shadow.connection import CLOSED, IDLE, ShadowConnection
from proxy.shadow.tap import SENT
from proxy.timers import TICKS_PER_SECOND

if TYPE_CHECKING:
    from proxy.endpoint import Endpoint
    from proxy.shadow.mirror import Mirror
    from proxy.shadow.tap import Copy

PAUSE_TICKS_FIRST: Final = TICKS_PER_SECOND
PAUSE_TICKS_MAX: Final = 16 * TICKS_PER_SECOND
# Each costs a connection: dearer than the request itself, and for nothing.
FAILURES_MAX: Final = 20


class Lane:
    """The way to one endpoint."""

    __slots__ = (
        "endpoint",
        "failures",
        "host",
        "idle",
        "known",
        "known_bytes",
        "mirror",
        "pause",
        "paused_until",
        "port",
        "probe",
        "retired",
    )

    def __init__(self, mirror: Mirror, endpoint: Endpoint) -> None:
        self.mirror = mirror
        self.endpoint = endpoint
        self.host: str = endpoint.host
        self.port: int = endpoint.port
        self.idle: list[ShadowConnection] = []
        # The head of the last answer that came whole and left its connection usable, as it was read, and how
        # many bytes all of that answer had: one that begins alike ends alike. 0 bytes where nothing is known,
        # or something has gone wrong since.
        self.known = b""
        self.known_bytes = 0
        # When it may be tried again, in ticks; 0 = it is not known to be bad. The copy by which it was tried.
        self.paused_until = 0
        self.probe: Copy | None = None
        self.pause: int = PAUSE_TICKS_FIRST
        # Answers in a row that broke off.
        self.failures = 0
        self.retired = False

    def send(self, copy: Copy) -> None:
        """Send a copy on an idle connection, or on a new one."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            # One that was lost a moment ago has not been told yet.
            if not connection.transport.is_closing():
                connection.serve(copy)
                return
        self.mirror.shadows.worker.spawn(self._connect(copy))

    async def _connect(self, copy: Copy) -> None:
        mirror = self.mirror
        worker = mirror.shadows.worker
        seconds = mirror.deadline / TICKS_PER_SECOND
        outcome = 0
        connection: ShadowConnection | None = None
        try:
            async with asyncio.timeout(seconds if seconds > 0 else None):
                protocol = await worker.dialer.open(self.endpoint.spec, self._make_connection)
            connection = cast(ShadowConnection, protocol)
        except TimeoutError:
            outcome = TIMEOUT_CONNECT
        except OSError:
            outcome = CONNECT_FAILED
        except asyncio.CancelledError:
            mirror.ended(copy, CLIENT_ABORT, 0)
            raise
        if connection is None or connection.state == CLOSED:
            self._leave_alone()
            mirror.ended(copy, outcome or CONNECT_FAILED, 0)
            return
        if copy.state == SENT:
            connection.serve(copy)
        else:
            connection.close()

    def _make_connection(self) -> asyncio.BaseProtocol:
        # A protocol by its methods: compiled classes do not inherit from interpreted ones.
        return cast(asyncio.BaseProtocol, ShadowConnection(self))

    def _leave_alone(self) -> None:
        self.known_bytes = 0
        now: int = self.mirror.shadows.wheel.now
        if self.paused_until <= now:
            # Copies that were under way fail together: that is one failure of the endpoint.
            self.paused_until = now + self.pause
            self.pause = min(PAUSE_TICKS_MAX, self.pause * 2)

    def may_probe(self, now: int) -> bool:
        """Whether a bad endpoint may get a copy: its pause is over, and no other one is under way."""
        return self.paused_until <= now and (self.probe is None or self.probe.state != SENT)

    def broke_off(self) -> None:
        """An answer ended before its end, or was none."""
        self.failures += 1
        self.known_bytes = 0
        if self.failures >= FAILURES_MAX:
            self._leave_alone()

    def answered(self) -> None:
        """A whole answer came."""
        self.failures = 0
        self.paused_until = 0
        self.probe = None
        self.pause = PAUSE_TICKS_FIRST

    def give_back(self, connection: ShadowConnection) -> None:
        """Keep a connection whose exchange ended cleanly."""
        mirror = self.mirror
        shadows = mirror.shadows
        idle = self.idle
        if self.retired or shadows.closing or len(idle) >= mirror.in_flight_max:
            connection.close()
            return
        connection.state = IDLE
        connection.informational = 0
        idle.append(connection)
        shadows.wheel.set(connection, shadows.worker.live.upstream_idle)

    def forget(self, connection: ShadowConnection) -> None:
        """Leave out a connection that closes."""
        if connection in self.idle:
            self.idle.remove(connection)

    def retire(self) -> None:
        """Close what nobody uses now, and the rest after its use."""
        self.retired = True
        self.known_bytes = 0
        for connection in self.idle[:]:
            connection.close()
