"""What can go wrong with an exchange: who failed, what the client is told, and how it is counted."""

from enum import IntEnum
from typing import Final

from proxy.outcomes import Outcome


class Side(IntEnum):
    """Whose doing it was."""

    UPSTREAM = 0
    HEADGATE = 1


class Fault:
    """One way in which an exchange fails after a variant was chosen."""

    __slots__ = ("code", "message", "outcome", "side", "status")

    def __init__(self, code: str, status: int, outcome: Outcome, side: Side, message: str) -> None:
        self.code = code
        self.status = status
        self.outcome = outcome
        self.side = side
        self.message = message


CONNECT_FAILED: Final = Fault(
    "connect_failed", 502, Outcome.CONNECT_FAILED, Side.UPSTREAM, "no connection to the model server"
)
TIMEOUT_CONNECT: Final = Fault(
    "timeout_connect",
    504,
    Outcome.TIMEOUT_CONNECT,
    Side.UPSTREAM,
    "the model server accepted no connection in time",
)
TIMEOUT_FIRST_BYTE: Final = Fault(
    "timeout_first_byte",
    504,
    Outcome.TIMEOUT_FIRST_BYTE,
    Side.UPSTREAM,
    "the model server did not answer in time",
)
TIMEOUT_IDLE: Final = Fault(
    "timeout_idle",
    504,
    Outcome.TIMEOUT_IDLE,
    Side.UPSTREAM,
    "the model server stopped in the middle of its answer",
)
TIMEOUT_TOTAL: Final = Fault(
    "timeout_total", 504, Outcome.TIMEOUT_TOTAL, Side.UPSTREAM, "the request took longer than it may"
)
RESET: Final = Fault(
    "reset", 502, Outcome.RESET, Side.UPSTREAM, "the model server closed the connection before it answered"
)
STREAM_TRUNCATED: Final = Fault(
    "stream_truncated",
    502,
    Outcome.STREAM_TRUNCATED,
    Side.UPSTREAM,
    "the answer of the model server was cut short",
)
STREAM_ERROR: Final = Fault(
    "stream_error",
    502,
    Outcome.STREAM_ERROR,
    Side.UPSTREAM,
    "the answer of the model server broke its framing",
)
INVALID_RESPONSE: Final = Fault(
    "invalid_response",
    502,
    Outcome.INVALID_RESPONSE,
    Side.UPSTREAM,
    "the model server's answer is not valid HTTP/1.1",
)
SHED: Final = Fault(
    "overloaded", 503, Outcome.SHED, Side.HEADGATE, "the model server is at its limit; try again"
)

FAULTS: Final = (
    CONNECT_FAILED,
    TIMEOUT_CONNECT,
    TIMEOUT_FIRST_BYTE,
    TIMEOUT_IDLE,
    TIMEOUT_TOTAL,
    RESET,
    STREAM_TRUNCATED,
    STREAM_ERROR,
    INVALID_RESPONSE,
    SHED,
)
