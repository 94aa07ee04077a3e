"""What a conversation is: bytes to send, and everything that must come of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

# Between two writes of one case: longer than the worker takes to read what came before.
GAP_SECONDS = 0.03
# What the client asks where the case is about the answer.
ASK = (b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n",)


class End(IntEnum):
    """What becomes of a client's connection."""

    STAYS = 0
    """It serves the next request."""
    CLOSES = 1
    """An orderly end follows the answer."""
    RESETS = 2
    """It is cut off, so that nobody takes what came for a whole answer."""


class Close(IntEnum):
    """How a model server leaves."""

    ORDERLY = 0
    RESET = 1
    HALF = 2
    """It says that it will send no more, and goes on reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCase:
    """Bytes of a client."""

    name: str
    rule: str
    """Where the behaviour is laid down."""
    send: tuple[bytes, ...]
    """What the client writes, with a gap between the pieces."""
    answers: tuple[int, ...]
    """Final statuses in the order they come."""
    seen: bytes
    """What the model server reads, without the lines that the proxy adds."""
    end: End = End.STAYS
    counted: Mapping[str, int] = field(default_factory=dict)
    """Counters that move; every other one stands still."""
    heads: tuple[int, ...] = ()
    """Positions of answers to HEAD, which have no body."""
    informational: int = 0
    """Answers before a final one."""
    cut_short: bool = False
    """The exchange is broken off: the model server reads any beginning of `seen`, and no whole request."""
    leaves: bool = False
    """The client closes after its last piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCase:
    """Bytes of a model server."""

    name: str
    rule: str
    reply: tuple[bytes | Close | float, ...]
    """What it writes, how it closes, or how many seconds it waits."""
    status: int
    """Of the final answer that the client gets."""
    got: bytes | None = None
    """All that the client gets without the lines that the proxy adds; None: the proxy's own error."""
    end: End = End.STAYS
    request: tuple[bytes, ...] = ASK
    early: bool = False
    """It replies when it has read the head, whatever follows."""
    reused: bool = False
    """Whether its connection carries the next request."""
    counted: Mapping[str, int] = field(default_factory=dict)
    to_head: bool = False
    seen: bytes | None = None
    """What the model server reads; None: the request as it was sent. Empty: not judged."""
    pause: float = 0.0
    """Seconds that the client waits before its next request."""
    dropped: bool = False
    """The client's next request waits until the connection to the model server is gone."""
