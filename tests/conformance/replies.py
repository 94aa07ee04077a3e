"""Ways in which an answer comes out: it passes, is refused, breaks off, or never comes."""

from __future__ import annotations

from tests.conformance.case import ASK, Close, End, ResponseCase

OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
HI = OK % 2 + b"hi"
IN_CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi"
HEAD = (b"HEAD /case HTTP/1.1\r\nHost: a\r\n\r\n",)
UPGRADE = (b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",)
UPGRADE_SEEN = b"GET /ws HTTP/1.1\r\nHost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
OLD_CLIENT = (b"GET /case HTTP/1.0\r\nHost: a\r\n\r\n",)
OLD_SEEN = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n"
GAP = 0.03
FRAMING = "RFC 9112, 6.3"
TRUNCATION = "RFC 9112, 8"
PERSISTENCE = "RFC 9112, 9.3"


def passes(
    name: str,
    *reply: bytes | Close | float,
    got: bytes | None = None,
    end: End = End.STAYS,
    rule: str = FRAMING,
    reused: bool = False,
    request: tuple[bytes, ...] | None = None,
    seen: bytes | None = None,
    to_head: bool = False,
    pause: float = 0.0,
) -> ResponseCase:
    """An answer that the client gets, as it came unless `got` is given."""
    plain = b"".join(step for step in reply if isinstance(step, bytes))
    return ResponseCase(
        name=name,
        rule=rule,
        reply=reply,
        status=200,
        got=plain if got is None else got,
        end=end,
        reused=reused,
        request=request or ASK,
        counted={"ok": 1},
        seen=seen,
        to_head=to_head,
        pause=pause,
    )


def refused(
    name: str,
    *reply: bytes | Close | float,
    outcome: str = "invalid_response",
    status: int = 502,
    rule: str = FRAMING,
    request: tuple[bytes, ...] | None = None,
    seen: bytes | None = None,
    to_head: bool = False,
) -> ResponseCase:
    """An answer that nobody may see: Headgate's own error goes out instead, and the client stays."""
    return ResponseCase(
        name=name,
        rule=rule,
        reply=reply,
        status=status,
        request=request or ASK,
        counted={outcome: 1},
        seen=seen,
        to_head=to_head,
    )


def left(name: str, close: Close, *, request: tuple[bytes, ...] = ASK) -> ResponseCase:
    """A connection that had been idle and closes unanswered: an idempotent request is sent once more."""
    return ResponseCase(
        name=name,
        rule="RFC 9112, 9.3.1",
        reply=(close,),
        status=502,
        request=request,
        counted={"reset": 1, "attempts": 2, "retries": 1},
        seen=request[0] * 2,
        to_head=request is HEAD,
    )


def cut_off(
    name: str, *reply: bytes | Close | float, outcome: str = "stream_truncated", rule: str = TRUNCATION
) -> ResponseCase:
    """An answer that breaks off: what came goes out, and then the client's connection is reset."""
    return ResponseCase(
        name=name,
        rule=rule,
        reply=reply,
        status=200,
        got=b"".join(step for step in reply if isinstance(step, bytes)),
        end=End.RESETS,
        counted={outcome: 1},
    )


def lines(count: int, size: int = 1) -> bytes:
    """So many header lines of at least this size."""
    return b"".join(b"X-%03d: %b\r\n" % (number, b"y" * size) for number in range(count))
