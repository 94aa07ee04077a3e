"""Answers of model servers that pass: the wire's table of heads, and every way in which a body may end."""

from __future__ import annotations

from tests.conformance.case import Close, End, ResponseCase
from tests.conformance.replies import (
    GAP,
    HEAD,
    HI,
    IN_CHUNKS,
    OK,
    OLD,
    OLD_CLIENT,
    OLD_SEEN,
    PERSISTENCE,
    TO_THE_END,
    lines,
    passes,
    refused,
)
from tests.proxy.wire import cases as wire


def heads() -> list[ResponseCase]:
    """The wire's table as conversations."""
    return [_conversation(case) for case in wire.RESPONSES]


def _conversation(case: wire.Case) -> ResponseCase:
    name, rule = f"answer: {case.name}", "RFC 9112, 4"
    if case.error:
        return refused(name, case.data, rule=rule)
    status = int(case.data[9:12])
    forwarded = b"HTTP/1.1" + (case.data[:-2] if case.forwarded is None else case.forwarded)[8:] + b"\r\n"
    reused = bool(case.expected.get("keep_alive", True))
    if status == 101:
        return refused(name, case.data, rule="RFC 9110, 7.8")
    if status < 200:
        return passes(name, case.data + HI, got=forwarded + HI, reused=True, rule=rule)
    counted = {"ok" if status < 400 else "upstream_4xx" if status < 500 else "upstream_5xx": 1}
    if case.expected.get("chunked"):
        body = b"2\r\nhi\r\n0\r\n\r\n"
    elif int(str(case.expected.get("content_length", -1))) >= 0 and status != 304:
        body = b"x" * int(str(case.expected["content_length"]))
    elif status in (204, 304):
        body = b""
    else:
        return ResponseCase(
            name=name,
            rule=rule,
            reply=(case.data + b"to the end", Close.ORDERLY),
            status=status,
            got=forwarded + b"to the end",
            end=End.CLOSES,
            counted=counted,
        )
    return ResponseCase(
        name=name,
        rule=rule,
        reply=(case.data + body,),
        status=status,
        got=forwarded + body,
        reused=reused,
        counted=counted,
    )


ENDS = [
    passes("sized answer", HI, reused=True),
    passes("sized answer behind its head", OK % 2, GAP, b"hi", reused=True),
    passes("sized answer in pieces", OK % 3, GAP, b"a", GAP, b"b", GAP, b"c", reused=True),
    passes("answer head in pieces", HI[:12], GAP, HI[12:30], GAP, HI[30:], reused=True, rule="RFC 9112, 2.2"),
    passes("answer cut in its blank line", HI[:-3], GAP, HI[-3:], reused=True, rule="RFC 9112, 2.2"),
    passes("empty answer", OK % 0, reused=True),
    passes("large answer", OK % 300_000, b"x" * 300_000, reused=True),
    passes("chunked answer", IN_CHUNKS + b"2\r\nhi\r\n0\r\n\r\n", reused=True),
    passes(
        "chunks one by one", IN_CHUNKS, GAP, b"1\r\nh\r\n", GAP, b"1\r\ni\r\n", GAP, b"0\r\n\r\n", reused=True
    ),
    passes(
        "chunk cut in its size", IN_CHUNKS + b"1", GAP, b"0\r\n0123456789abcdef\r\n0\r\n\r\n", reused=True
    ),
    passes("chunked answer without content", IN_CHUNKS + b"0\r\n\r\n", reused=True),
    passes("answer with an extension", IN_CHUNKS + b"2;a=b\r\nhi\r\n0\r\n\r\n", reused=True),
    passes("answer with a trailer", IN_CHUNKS + b"0\r\nX-Sum: 1\r\n\r\n", reused=True),
    passes("answer to the end", TO_THE_END + b"hi", Close.ORDERLY, end=End.CLOSES),
    passes("answer to the end in pieces", TO_THE_END, GAP, b"h", GAP, b"i", Close.ORDERLY, end=End.CLOSES),
    passes("empty answer to the end", TO_THE_END, GAP, Close.ORDERLY, end=End.CLOSES),
    passes("answer to the end by half a close", TO_THE_END + b"hi", Close.HALF, end=End.CLOSES),
    passes("answer of HTTP/1.0", OLD, got=HI, rule=PERSISTENCE),
    passes(
        "answer of HTTP/1.0 to the end",
        b"HTTP/1.0 200 OK\r\n\r\nhi",
        Close.ORDERLY,
        got=b"HTTP/1.1 200 OK\r\n\r\nhi",
        end=End.CLOSES,
    ),
    passes(
        "answer of HTTP/1.0 that stays",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        got=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        reused=True,
        rule=PERSISTENCE,
    ),
    passes(
        "answer that says close",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        got=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        rule=PERSISTENCE,
    ),
    passes("answer and close", HI, Close.ORDERLY, rule=PERSISTENCE, pause=0.1),
    passes("answer and reset", HI, GAP, Close.RESET, rule=PERSISTENCE, pause=0.1),
    passes("answer and half a close", HI, Close.HALF, rule=PERSISTENCE, pause=0.1),
    passes("more than announced", HI + b"more", got=HI),
    passes("two answers at once", HI + HI, got=HI),
    passes("second answer later", HI, 0.02, HI, got=HI, pause=0.1),
    passes("408 on an idle connection", HI, 0.02, b"HTTP/1.1 408 Request Timeout\r\n\r\n", got=HI, pause=0.1),
    passes("byte on an idle connection", HI, 0.02, b"\n", got=HI, pause=0.1),
    passes("bytes behind the last chunk", IN_CHUNKS + b"0\r\n\r\nmore", got=IN_CHUNKS + b"0\r\n\r\n"),
    passes("answer to HEAD", OK % 5, request=HEAD, to_head=True, reused=True),
    passes("chunked answer to HEAD", IN_CHUNKS, request=HEAD, to_head=True, reused=True),
    passes("answer to HEAD without a length", TO_THE_END, request=HEAD, to_head=True, reused=True),
    passes("answer to HEAD with a body", HI, request=HEAD, to_head=True, got=OK % 2),
    passes(
        "chunked answer to HEAD with a body",
        IN_CHUNKS + b"0\r\n\r\n",
        request=HEAD,
        to_head=True,
        got=IN_CHUNKS,
    ),
    passes(
        "continue that nobody waits for",
        b"HTTP/1.1 100 Continue\r\n\r\n" + HI,
        reused=True,
        rule="RFC 9110, 15.2",
    ),
    passes(
        "hints before the answer",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        GAP,
        HI,
        reused=True,
        rule="RFC 8297",
    ),
    passes(
        "informational answers for HTTP/1.0",
        b"HTTP/1.1 103 x\r\n\r\n" + HI,
        got=HI,
        reused=True,
        request=OLD_CLIENT,
        seen=OLD_SEEN,
        end=End.CLOSES,
        rule="RFC 9110, 15.2",
    ),
    passes(
        "chunks for HTTP/1.0",
        IN_CHUNKS + b"1\r\nh\r\n1\r\ni\r\n0\r\nX: y\r\n\r\n",
        got=b"HTTP/1.1 200 OK\r\n\r\nhi",
        reused=True,
        request=OLD_CLIENT,
        seen=OLD_SEEN,
        end=End.CLOSES,
        rule="RFC 9112, 6.1",
    ),
    passes(
        "sixteen informational answers",
        b"HTTP/1.1 102 x\r\n\r\n" * 16 + HI,
        reused=True,
        rule="RFC 9110, 15.2",
    ),
    passes(
        "forged arm and id",
        b"HTTP/1.1 200 OK\r\nX-Headgate-Variant: v9\r\nX-Request-Id: z\r\nContent-Length: 0\r\n\r\n",
        got=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        reused=True,
        rule="Headgate",
    ),
    passes(
        "cookies and repeated fields",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nVary: x\r\nContent-Length: 0\r\n\r\n",
        reused=True,
        rule="RFC 9110, 5.3",
    ),
    passes(
        "most lines of an answer",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines(127) + b"\r\n",
        reused=True,
        rule="limits.headers",
    ),
]

STATUSES = [
    ResponseCase(
        name=f"status {status}",
        rule="RFC 9110, 15",
        reply=(b"HTTP/1.1 %d x\r\ncontent-length: 2\r\n\r\nno" % status,),
        status=status,
        got=b"HTTP/1.1 %d x\r\ncontent-length: 2\r\n\r\nno" % status,
        # A server that failed in its own code often closes a moment later, unannounced.
        reused=status != 500,
        counted={outcome: 1},
    )
    for status, outcome in (
        (301, "ok"),
        (400, "upstream_4xx"),
        (408, "upstream_4xx"),
        (421, "upstream_4xx"),
        (429, "upstream_429"),
        (500, "upstream_5xx"),
        (503, "upstream_5xx"),
        (599, "upstream_5xx"),
    )
]
