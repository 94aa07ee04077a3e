"""When an exchange may be tried once more: only where nothing can have been done twice, and within a budget.

Three things make a second attempt safe. No connection was there, so nothing was sent. The connection had been
idle and was reset without its host having taken a byte of this request, which the kernel knows. Or repeating
changes nothing: the method is idempotent (RFC 9110, section 9.2.2), or an Idempotency-Key says that the
server sees to it.

The budget keeps retries from becoming the load that breaks what is left (Beyer et al., Site Reliability
Engineering, chapter 22): a share of the requests of the last seconds, and a few in any case.
"""

from __future__ import annotations

import asyncio
import socket
from struct import Struct
from typing import TYPE_CHECKING, Final

from proxy.counters import RETRIES_DENIED

if TYPE_CHECKING:
    from proxy.relay import Relay
    from proxy.slot_counts import SlotCounts
    from proxy.upstream import UpstreamConnection

# RFC 9110, section 9.2.2.
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
# Larger requests are not kept for a second attempt: what waits for an answer would fill the memory.
REPLAY_BYTES_MAX: Final = 64 * 1024
# Seconds for which unused allowance is kept: long enough for a burst, too short for a hoard.
SAVED_SECONDS: Final = 10
# How long a reset may take to follow the close of an idle connection: a round trip within a region.
RESET_SECONDS: Final = 0.02

# Of struct tcp_info (linux/tcp.h): tcpi_state, tcpi_bytes_acked, tcpi_bytes_sent, tcpi_bytes_retrans.
TCP_INFO_BYTES: Final = 216
TCP_CLOSE: Final = 7
_ACKED: Final = Struct("=Q").unpack_from
_SENT: Final = Struct("=QQ").unpack_from
_ACKED_AT: Final = 120
_SENT_AT: Final = 200


class RetryBudget:
    """The retries that a route's requests pay for; `turn` is called once a second."""

    __slots__ = ("_counts", "_started", "minimum", "share", "tokens")

    def __init__(self, share: float, minimum: float) -> None:
        self.share = share
        self.minimum = minimum
        self.tokens = minimum * SAVED_SECONDS
        self._counts: list[SlotCounts] = []
        self._started = 0

    def watch(self, share: float, minimum: float, counts: list[SlotCounts]) -> None:
        """Take the settings and arms of a new table; what was saved stays."""
        self.share = share
        self.minimum = minimum
        self._counts = counts
        self._started = self._sum()

    def turn(self) -> None:
        """Earn what the requests of the last second pay for."""
        started = self._sum()
        earned = self.minimum + self.share * max(0, started - self._started)
        self._started = started
        self.tokens = min(self.tokens + earned, earned * SAVED_SECONDS)

    def spend(self) -> bool:
        """Take one retry out of the budget; False when there is none."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def _sum(self) -> int:
        return sum(counts.started for counts in self._counts)


def may_reconnect(relay: Relay) -> bool:
    """Whether a request that found no connection may look for another endpoint."""
    return relay.attempts < relay.arm.attempts_max and _pays(relay)


def may_repeat(relay: Relay, connection: UpstreamConnection) -> bool:
    """Whether a request whose idle connection was lost, with nothing of an answer, may be sent once more."""
    arm = relay.arm
    if not arm.repeats or relay.attempts > arm.attempts_max:
        return False
    if took_nothing(connection.transport, len(relay.replay)):
        # The server never saw it, so this is no load that it has not had, and costs no budget.
        return True
    return is_idempotent(relay.replay) and _pays(relay)


def _pays(relay: Relay) -> bool:
    """Whether the route can afford another attempt now."""
    if not relay.worker.overload and relay.arm.budget.spend():
        return True
    relay.worker.cells[RETRIES_DENIED] += 1
    return False


def is_idempotent(message: bytes) -> bool:
    """Whether repeating a request changes nothing, by its method or by its own word."""
    if message[: message.index(b" ")] in IDEMPOTENT:
        return True
    return b"\r\nidempotency-key:" in message[: message.index(b"\r\n\r\n")].lower()


def took_nothing(transport: asyncio.Transport, size: int) -> bool:
    """Whether the peer has reset a connection without acknowledging any of the last ``size`` bytes.

    A server that closes an idle connection does so in the kernel: bytes that arrive later are answered by a
    reset and never reach the program. The kernel counts what was sent and what was acknowledged; when the
    difference is the whole last request, nobody has read it. Where it cannot tell, the answer is False.
    """
    raw = transport.get_extra_info("socket")
    if raw is None:
        return False
    try:
        info: bytes = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except (OSError, AttributeError):
        return False
    if len(info) < TCP_INFO_BYTES or info[0] != TCP_CLOSE:
        return False
    # The first byte acknowledged is the opening of the connection.
    acked: int = _ACKED(info, _ACKED_AT)[0] - 1
    sent, repeated = _SENT(info, _SENT_AT)
    return bool(sent - repeated - acked == size)
