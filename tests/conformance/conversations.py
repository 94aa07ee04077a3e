"""Several requests on a connection, waiting, upgrades, and clients that take too long."""

from __future__ import annotations

from tests.conformance.bodies import CHUNKED, NEXT, SIZED, passes
from tests.conformance.case import End, RequestCase

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
BAD = b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n"
PIPELINING = "RFC 9112, 9.3.2"
AFTER_AN_ERROR = "RFC 9112, 11.2"
CLOSE = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CLOSE_SEEN = b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n"
EXPECT = b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
LINES_MAX = 128
HEAD_BYTES_MAX = 16384


def several(name: str, *send: bytes, rule: str = PIPELINING, heads: tuple[int, ...] = ()) -> RequestCase:
    """Requests that are all served, in their order."""
    data = b"".join(send)
    count = data.count(b" HTTP/1.1\r\n")
    return RequestCase(
        name=name, rule=rule, send=send, answers=(200,) * count, seen=data, counted={"ok": count}, heads=heads
    )


def refused(
    name: str, *send: bytes, status: int = 400, rule: str, counted: dict[str, int] | None = None
) -> RequestCase:
    """A request that never reaches a model server."""
    return RequestCase(
        name=name,
        rule=rule,
        send=send,
        answers=(status,),
        seen=b"",
        end=End.CLOSES,
        counted={"malformed": 1} if counted is None else counted,
    )


def lines(count: int, size: int = 1) -> bytes:
    """So many header lines of at least this size."""
    return b"".join(b"X-%03d: %b\r\n" % (number, b"y" * size) for number in range(count))


CONVERSATIONS = [
    several("two requests at once", GET % 1 + GET % 2),
    several("five requests at once", b"".join(GET % number for number in range(5))),
    several("two requests after each other", GET % 1, GET % 2, rule="RFC 9112, 9.3"),
    several("second request cut in its head", GET % 1 + (GET % 2)[:10], (GET % 2)[10:]),
    several("body and request at once", SIZED % 3 + b"abc" + GET % 1),
    several("chunks and request at once", CHUNKED + b"1\r\na\r\n0\r\n\r\n" + GET % 1),
    several("trailers and request at once", CHUNKED + b"0\r\nX: y\r\n\r\n" + GET % 1),
    several(
        "HEAD between others",
        GET % 1 + b"HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n" + GET % 3,
        heads=(1,),
    ),
    several("bodies in a row", SIZED % 1 + b"a" + SIZED % 2 + b"bc" + SIZED % 0 + SIZED % 1 + b"d"),
    RequestCase(
        name="empty line between requests",
        rule="RFC 9112, 2.2",
        send=(GET % 1 + b"\r\n" + GET % 2,),
        answers=(200, 200),
        seen=GET % 1 + GET % 2,
        counted={"ok": 2},
    ),
    RequestCase(
        name="bad request behind a good one",
        rule=AFTER_AN_ERROR,
        send=(GET % 1 + BAD + NEXT,),
        answers=(200, 400),
        seen=GET % 1,
        end=End.CLOSES,
        counted={"ok": 1, "malformed": 1},
    ),
    RequestCase(
        name="bad request behind two good ones",
        rule=AFTER_AN_ERROR,
        send=(GET % 1 + GET % 2 + BAD + NEXT,),
        answers=(200, 200, 400),
        seen=GET % 1 + GET % 2,
        end=End.CLOSES,
        counted={"ok": 2, "malformed": 1},
    ),
    RequestCase(
        name="request after an error",
        rule=AFTER_AN_ERROR,
        send=(BAD, NEXT),
        answers=(400,),
        seen=b"",
        end=End.CLOSES,
        counted={"malformed": 1},
    ),
    RequestCase(
        name="request behind one that closes",
        rule="RFC 9112, 9.6",
        send=(CLOSE + NEXT,),
        answers=(200,),
        seen=CLOSE_SEEN,
        end=End.CLOSES,
        counted={"ok": 1},
    ),
    RequestCase(
        name="request behind one of HTTP/1.0",
        rule="RFC 9112, 9.3",
        send=(b"GET /old HTTP/1.0\r\nHost: a\r\n\r\n" + NEXT,),
        answers=(200,),
        seen=b"GET /old HTTP/1.1\r\nHost: a\r\n\r\n",
        end=End.CLOSES,
        counted={"ok": 1},
    ),
    refused("two empty lines before a request", b"\r\n\r\n" + NEXT, rule="RFC 9112, 2.2"),
    refused("empty line of a bare LF", b"\n" + NEXT, rule="RFC 9112, 2.2"),
    refused(
        "TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, rule="RFC 9112, 2.2"
    ),
    refused("SSH greeting", b"SSH-2.0-OpenSSH_9.2\r\n", rule="RFC 9112, 3"),
    refused(
        "HTTP/2 preface and settings",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4",
        status=505,
        rule="RFC 9113, 3.4",
    ),
    refused("HTTP/0.9 without more", b"GET /\r\n", rule="RFC 9112, 2.3"),
    refused("line feeds only", b"GET / HTTP/1.1\nHost: a\n\n", rule="RFC 9112, 2.2"),
    refused("head that begins badly and never ends", b"GET /a b HTTP/1.1\r\n", rule="RFC 9112, 3"),
    refused(
        "one line too many",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + lines(LINES_MAX) + b"\r\n",
        status=431,
        rule="RFC 6585, 5",
    ),
    passes(
        "most lines", b"GET / HTTP/1.1\r\nHost: a\r\n" + lines(LINES_MAX - 1) + b"\r\n", rule="RFC 6585, 5"
    ),
    refused(
        "head too large",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + lines(20, 1000) + b"\r\n",
        status=431,
        rule="RFC 6585, 5",
    ),
    refused(
        "line too large",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
        status=431,
        rule="RFC 6585, 5",
    ),
    refused(
        "target too large",
        b"GET /" + b"y" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        status=431,
        rule="RFC 6585, 5",
    ),
    refused(
        "endless head", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20000, status=431, rule="RFC 6585, 5"
    ),
    RequestCase(
        name="expectation met",
        rule="RFC 9110, 10.1.1",
        send=(EXPECT, b"hi"),
        answers=(200,),
        seen=EXPECT + b"hi",
        counted={"ok": 1},
        informational=1,
    ),
    passes("expectation with its body", EXPECT + b"hi", rule="RFC 9110, 10.1.1"),
    passes(
        "expectation in HTTP/1.0",
        b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: something-else\r\nContent-Length: 2\r\n\r\nhi",
        rule="RFC 9110, 10.1.1",
    ),
    passes(
        "upgrade that is not answered",
        b"GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        seen=b"GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"connection: upgrade\r\nupgrade: websocket\r\n\r\n",
        rule="RFC 9110, 7.8",
    ),
    passes(
        "upgrade to HTTP/2",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n"
        b"Upgrade: h2c\r\n"
        b"\r\n",
        seen=b"GET / HTTP/1.1\r\nHost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        rule="RFC 9113, 3.1",
    ),
    RequestCase(
        name="client that sends half a head and leaves",
        rule="RFC 9112, 8",
        send=(b"GET / HTTP/1.1\r\nHo",),
        answers=(),
        seen=b"",
        leaves=True,
    ),
    RequestCase(
        name="client that says nothing and leaves",
        rule="RFC 9112, 9.5",
        send=(b"",),
        answers=(),
        seen=b"",
        leaves=True,
    ),
]

SLOW = [
    refused(
        "half a head",
        b"GET / HTTP/1.1\r\nHo",
        status=408,
        rule="timeouts.request_head",
        counted={"head_timed_out": 1},
    ),
    refused(
        "head that drips",
        *(bytes([code]) for code in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: yes"),
        status=408,
        rule="timeouts.request_head",
        counted={"head_timed_out": 1},
    ),
    RequestCase(
        name="body that stops",
        rule="timeouts.request_body_idle",
        send=(SIZED % 50, b"x"),
        answers=(408,),
        seen=SIZED % 50 + b"x",
        end=End.CLOSES,
        counted={"body_timed_out": 1, "client_abort": 1},
        cut_short=True,
    ),
    RequestCase(
        name="chunks that stop",
        rule="timeouts.request_body_idle",
        send=(CHUNKED, b"2\r\nab\r\n"),
        answers=(408,),
        seen=CHUNKED + b"2\r\nab\r\n",
        end=End.CLOSES,
        counted={"body_timed_out": 1, "client_abort": 1},
        cut_short=True,
    ),
    RequestCase(
        name="expectation met by silence",
        rule="RFC 9110, 10.1.1",
        send=(EXPECT,),
        answers=(408,),
        seen=EXPECT,
        end=End.CLOSES,
        counted={"body_timed_out": 1, "client_abort": 1},
        cut_short=True,
        informational=1,
    ),
]
