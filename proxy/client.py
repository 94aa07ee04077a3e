"""A client's socket: accepted, held back, drained, and closed in the way that tells the truth.

What is said over it is `proxy.downstream`'s part; this module knows no requests, only whether one is owed an
answer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from proxy.answers import answer
from proxy.counters import CONNECTIONS_ACCEPTED, CONNECTIONS_OPEN, CONNECTIONS_REFUSED
from proxy.faults import Fault
from proxy.flow import PEER_FULL, PIPELINED, Valve
from proxy.forwarding import ClientLines
from proxy.timers import NEVER, TICKS_PER_SECOND, Timed

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.relay import Relay
    from proxy.restoring import Restorer

# What the connection reads next.
HEAD: Final = 0
FIXED: Final = 1
CHUNKED: Final = 2
WAIT: Final = 3  # the request is complete, its answer is not
TUNNEL: Final = 4
LINGER: Final = 5  # closing: what still comes is thrown away, so that the answer is not lost to a reset
CLOSED: Final = 6

# How long and how much a closing connection is read, before it is closed for good.
LINGER_TICKS: Final = 2 * TICKS_PER_SECOND
# How long a connection without a request waits for one that may be on its way when the worker drains.
DRAIN_IDLE_TICKS: Final = TICKS_PER_SECOND
LINGER_BYTES_MAX: Final = 1024 * 1024
# SO_LINGER with time 0: close by reset, so that no client takes a truncated answer for a whole one.
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ClientConnection(Timed):
    """The socket's side of a downstream connection."""

    __slots__ = (
        "blank_line",
        "buffer",
        "client",
        "client_lines",
        "discarded",
        "eof",
        "relay",
        "restorer",
        "state",
        "transport",
        "valve",
        "worker",
        "write",
    )

    def __init__(self, worker: WorkerContext) -> None:
        super().__init__()
        self.worker = worker
        # The exchange in progress; None while nothing is owed to the client.
        self.relay: Relay | None = None
        self.state: int = HEAD
        # One came before the request, which is tolerated once.
        self.blank_line = False
        self.buffer = b""
        self.discarded = 0
        self.eof = False
        # What `write` goes through while an answer is owed under another model name.
        self.restorer: Restorer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        worker = self.worker
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.valve = Valve(self.transport)
        cells = worker.cells
        cells[CONNECTIONS_ACCEPTED] += 1
        cells[CONNECTIONS_OPEN] += 1
        peer = transport.get_extra_info("peername")
        self.client = peer[0].encode() if isinstance(peer, tuple) else b""
        self.client_lines = ClientLines(self.client, tls=transport.get_extra_info("sslcontext") is not None)
        worker.clients.add(self)
        if len(worker.clients) > worker.live.table.limits.connections:
            cells[CONNECTIONS_REFUSED] += 1
            self.refuse(503, "connection_limit", "too many connections", head_only=False)
            return
        worker.wheel.set(self, worker.live.keepalive_idle)

    def eof_received(self) -> bool:
        self.eof = True
        # Like nginx, we take a client that closes its sending side while it is owed an answer as gone: a
        # full close looks the same, and a model server should not work for nobody.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        worker = self.worker
        self.state = CLOSED
        self.valve.close()
        worker.wheel.remove(self)
        worker.cells[CONNECTIONS_OPEN] -= 1
        worker.clients.discard(self)
        self.buffer = b""
        self.restorer = None
        self.forget_request()
        relay = self.relay
        if relay is not None:
            self.relay = None
            relay.client_gone()
        if worker.draining:
            worker.drained_one()

    def pause_writing(self) -> None:
        relay = self.relay
        if relay is not None and relay.connection is not None:
            relay.connection.valve.hold(PEER_FULL)
            stall = self.worker.live.read_stall
            if stall and relay.head_sent:
                relay.wait(stall)
                # The next piece that is taken is waited for as long as any.
                relay.waited = 0

    def resume_writing(self) -> None:
        relay = self.relay
        if relay is not None and relay.connection is not None:
            relay.connection.valve.release(PEER_FULL)

    def forget_request(self) -> None:
        """Drop what was kept of a request that will not be answered."""
        raise NotImplementedError

    def exchange_done(self, *, request_complete: bool) -> None:
        """The answer is out."""
        raise NotImplementedError

    def ready(self) -> None:
        """Expect the next request."""
        self.relay = None
        self.state = HEAD
        self.blank_line = False
        worker = self.worker
        wheel = worker.wheel
        idle = worker.live.keepalive_idle
        deadline = wheel.now + idle + 1 if idle else NEVER
        if NEVER < self.placed <= deadline:
            self.deadline = deadline
        else:
            wheel.set_at(self, deadline)

    def answer_fault(self, fault: Fault, *, request_complete: bool) -> None:
        """Answer in our own name: the exchange failed before anything of a response went out."""
        relay = self.relay
        head_only = relay is not None and relay.head_only
        close = not request_complete or (relay is not None and relay.close_downstream) or self.worker.draining
        if relay is not None:
            relay.close_downstream = close
        out = answer(fault.status, fault.code, fault.message, close=close, head_only=head_only)
        if relay is not None:
            # The arm and the id go in front of the blank line, so that an error can be traced too.
            split = out.index(b"\r\n\r\n") + 2
            out = out[:split] + relay.arm.response_lines + relay.id_line + out[split:]
        self.write(out)
        self.exchange_done(request_complete=request_complete)

    def start_tunnel(self) -> None:
        """Bytes are passed on unread from now on."""
        self.state = TUNNEL
        rest = self.buffer
        self.buffer = b""
        if rest and self.relay is not None:
            self.relay.request_data(rest)

    def tunnel_done(self) -> None:
        """The other side of the tunnel closed; close ours when everything is written."""
        self.relay = None
        self.state = CLOSED
        self.transport.close()

    def abort(self) -> None:
        """Close by reset: what was sent of an answer is no answer."""
        relay = self.relay
        self.relay = None
        self.state = CLOSED
        if relay is not None and relay.head_sent:
            raw = self.transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()

    def cut_off(self) -> None:
        """Our time is up: end whatever is in progress, charged to nobody, and close."""
        relay = self.relay
        if relay is not None:
            self.relay = None
            relay.client_gone()
            self.relay = relay
        self.abort()

    def drain(self) -> None:
        """Close as soon as nothing is owed to the client, nor will be in a moment.

        A request may be on its way. It is answered, with word that the connection closes; to close at once
        would fail it, and the client could not know whether it was acted upon.
        """
        if self.relay is None and self.state == HEAD and not self.buffer:
            self.worker.wheel.set(self, DRAIN_IDLE_TICKS)

    def refuse(self, status: int, code: str, message: str, *, head_only: bool) -> None:
        """Answer and close; requests behind this one are never read."""
        self.write(answer(status, code, message, close=True, head_only=head_only))
        self.close_after_answer()

    def close_after_answer(self) -> None:
        """Close in two steps, so that a client still sending reads its answer before it sees a reset.

        RFC 9112, section 9.6: half-close, read on for a while, then close.
        """
        self.buffer = b""
        self.forget_request()
        self.valve.release(PIPELINED)
        if self.restorer is not None:
            self.restorer.end()
        # Over TLS there is no half-close: what was written goes out before the connection is closed.
        if self.eof or self.transport.is_closing() or not self.transport.can_write_eof():
            self.state = CLOSED
            self.transport.close()
            return
        self.state = LINGER
        self.transport.write_eof()
        self.worker.wheel.set(self, LINGER_TICKS)

    def discard(self, data: bytes) -> None:
        """Throw away what a closing connection still receives, up to a limit."""
        self.discarded += len(data)
        if self.discarded > LINGER_BYTES_MAX:
            self.abort()
