"""Requests with bodies: lengths, chunks and trailers, good ones and ambiguous ones."""

from __future__ import annotations

from tests.conformance.case import End, RequestCase

SIZED = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKS_RULE = "RFC 9112, 7.1"


def passes(name: str, *send: bytes, rule: str = CHUNKS_RULE, seen: bytes | None = None) -> RequestCase:
    """A request that reaches the model server, as it was sent unless `seen` is given."""
    data = b"".join(send) if seen is None else seen
    return RequestCase(name=name, rule=rule, send=send, answers=(200,), seen=data, counted={"ok": 1})


def broken(name: str, body: bytes, *, rule: str = CHUNKS_RULE) -> RequestCase:
    """A body that ends the exchange: answered 400, charged to no arm, nothing behind it read."""
    return RequestCase(
        name=name,
        rule=rule,
        # The head first, so that the exchange is open when the body comes.
        send=(CHUNKED, body + NEXT),
        answers=(400,),
        seen=CHUNKED + body,
        end=End.CLOSES,
        counted={"malformed": 1, "client_abort": 1},
        cut_short=True,
    )


BODIES = [
    passes("body in one piece with its head", SIZED % 5 + b"hello", rule="RFC 9112, 6.2"),
    passes("body behind its head", SIZED % 5, b"hello", rule="RFC 9112, 6.2"),
    passes("body in three pieces", SIZED % 6, b"he", b"ll", b"oo", rule="RFC 9112, 6.2"),
    passes(
        "body that looks like a request",
        SIZED % len(NEXT) + NEXT,
        rule="RFC 9112, 6.2",
    ),
    passes("head in two pieces", SIZED[:20], SIZED[20:] % 2 + b"ok", rule="RFC 9112, 2.2"),
    passes("head cut in its blank line", b"GET / HTTP/1.1\r\nHost: a\r\n\r", b"\n", rule="RFC 9112, 2.2"),
    passes("binary body", SIZED % 256 + bytes(range(256)), rule="RFC 9112, 6.2"),
    passes(
        "GET with a body",
        b"GET /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        rule="RFC 9110, 9.3.1",
    ),
    passes("chunks", CHUNKED + b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
    passes("chunk in pieces", CHUNKED, b"3\r", b"\nab", b"c\r\n0\r\n", b"\r\n"),
    passes("chunked without content", CHUNKED + b"0\r\n\r\n"),
    passes("chunk that looks like a request", CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT)),
    passes("leading zeros in a size", CHUNKED + b"0003\r\nabc\r\n000\r\n\r\n"),
    passes("size in capitals", CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n"),
    passes("chunk extension", CHUNKED + b"3;name=value\r\nabc\r\n0;last\r\n\r\n"),
    passes("quoted chunk extension", CHUNKED + b'3;a="b;\\"c\\r"\r\nabc\r\n0\r\n\r\n'),
    passes("longest chunk extension", CHUNKED + b"3;" + b"x" * 511 + b"\r\nabc\r\n0\r\n\r\n"),
    passes("trailer", CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", rule="RFC 9112, 7.1.2"),
    passes(
        "two trailers in pieces", CHUNKED, b"0\r\nX-Sum: ", b"1\r\nX-B:2\r\n", b"\r\n", rule="RFC 9112, 7.1.2"
    ),
    passes(
        "most trailers",
        CHUNKED + b"0\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(64)) + b"\r\n",
        rule="RFC 9112, 7.1.2",
    ),
    broken("size that is no number", b"x\r\nabc\r\n0\r\n\r\n"),
    broken("no size", b"\r\nabc\r\n0\r\n\r\n"),
    broken("negative size", b"-3\r\nabc\r\n0\r\n\r\n"),
    broken("signed size", b"+3\r\nabc\r\n0\r\n\r\n"),
    broken("size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    broken("size with an underscore", b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
    broken("space before a size", b" 3\r\nabc\r\n0\r\n\r\n"),
    broken("space behind a size", b"3 \r\nabc\r\n0\r\n\r\n"),
    broken("tab behind a size", b"3\t\r\nabc\r\n0\r\n\r\n"),
    broken("size of 16 digits", b"0000000000000003\r\nabc\r\n0\r\n\r\n"),
    broken("size above 64 bits", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    broken("size with a NUL", b"3\0\r\nabc\r\n0\r\n\r\n"),
    broken("size and bare LF", b"3\nabc\r\n0\r\n\r\n"),
    broken("size and bare CR", b"3\rabc\r\n0\r\n\r\n"),
    broken("size and two CRs", b"3\r\r\nabc\r\n0\r\n\r\n"),
    broken("chunk longer than its size", b"3\r\nabcd\r\n0\r\n\r\n"),
    broken("chunk shorter than its size", b"5\r\nabc\r\n0\r\n\r\n"),
    broken("chunk and bare LF", b"3\r\nabc\n0\r\n\r\n"),
    broken("chunk and bare CR", b"3\r\nabc\r0\r\n\r\n"),
    broken("chunk without an end", b"3\r\nabc0\r\n\r\n"),
    broken("last chunk and bare LF", b"3\r\nabc\r\n0\n\n"),
    broken("extension too long", b"3;" + b"x" * 512 + b"\r\nabc\r\n0\r\n\r\n"),
    broken("extension without an end", b"3;" + b"x" * 5000),
    broken("extension with bare LF", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    broken("extension with bare CR", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    broken("extension with a NUL", b"3;a=\0\r\nabc\r\n0\r\n\r\n"),
    broken("extension without a name", b"3;\r\nabc\r\n0\r\n\r\n"),
    broken("extension without a value", b"3;a=\r\nabc\r\n0\r\n\r\n"),
    broken("extension with spaces", b"3 ; a = b\r\nabc\r\n0\r\n\r\n"),
    broken("quoted extension without an end", b'3;a="b\r\nabc\r\n0\r\n\r\n'),
    broken("extension without a semicolon", b"3 a\r\nabc\r\n0\r\n\r\n"),
    broken("trailer without a colon", b"0\r\nX-Sum\r\n\r\n", rule="RFC 9112, 7.1.2"),
    broken("trailer with a space before the colon", b"0\r\nX-Sum : 1\r\n\r\n", rule="RFC 9112, 7.1.2"),
    broken("folded trailer", b"0\r\nX-Sum: 1\r\n 2\r\n\r\n", rule="RFC 9112, 7.1.2"),
    broken("trailer with bare LF", b"0\r\nX-Sum: 1\nX: 2\r\n\r\n", rule="RFC 9112, 7.1.2"),
    broken("trailer with a NUL", b"0\r\nX-Sum: \0\r\n\r\n", rule="RFC 9112, 7.1.2"),
    broken("trailer without a name", b"0\r\n: 1\r\n\r\n", rule="RFC 9112, 7.1.2"),
    broken("length as a trailer", b"0\r\nContent-Length: 3\r\n\r\n", rule="RFC 9110, 6.5.1"),
    broken("coding as a trailer", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", rule="RFC 9110, 6.5.1"),
    broken("Host as a trailer", b"0\r\nHost: b\r\n\r\n", rule="RFC 9110, 6.5.1"),
    broken("Authorization as a trailer", b"0\r\nAuthorization: x\r\n\r\n", rule="RFC 9110, 6.5.1"),
    broken("Connection as a trailer", b"0\r\nConnection: close\r\n\r\n", rule="RFC 9110, 6.5.1"),
    broken(
        "too many trailers",
        b"0\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(65)) + b"\r\n",
        rule="RFC 9112, 7.1.2",
    ),
    broken("trailers too long", b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n", rule="RFC 9112, 7.1.2"),
    RequestCase(
        name="chunks over the limit",
        rule="limits.body_bytes",
        send=(CHUNKED, b"1001\r\n" + b"x" * 4097 + b"\r\n0\r\n\r\n"),
        answers=(413,),
        seen=CHUNKED,
        end=End.CLOSES,
        counted={"refused": 1, "client_abort": 1},
        cut_short=True,
    ),
    passes("chunks at the limit", CHUNKED + b"1\r\nx\r\n" * 4096 + b"0\r\n\r\n", rule="limits.body_bytes"),
    RequestCase(
        name="length over the limit",
        rule="limits.body_bytes",
        send=(SIZED % 4097 + NEXT,),
        answers=(413,),
        seen=b"",
        end=End.CLOSES,
        counted={"refused": 1},
    ),
    passes("length at the limit", SIZED % 4096 + b"x" * 4096, rule="limits.body_bytes"),
    RequestCase(
        name="client that leaves inside its body",
        rule="RFC 9112, 8",
        send=(SIZED % 50, b"x" * 20),
        answers=(),
        seen=SIZED % 50 + b"x" * 20,
        counted={"client_abort": 1},
        cut_short=True,
        leaves=True,
    ),
    RequestCase(
        name="client that leaves inside a chunk",
        rule="RFC 9112, 8",
        send=(CHUNKED, b"5\r\nab"),
        answers=(),
        seen=CHUNKED + b"5\r\nab",
        counted={"client_abort": 1},
        cut_short=True,
        leaves=True,
    ),
    RequestCase(
        name="client that leaves before the last chunk",
        rule="RFC 9112, 8",
        send=(CHUNKED, b"2\r\nab\r\n"),
        answers=(),
        seen=CHUNKED + b"2\r\nab\r\n",
        counted={"client_abort": 1},
        cut_short=True,
        leaves=True,
    ),
]
