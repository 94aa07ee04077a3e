"""Answers of model servers that break off, come early, or cannot be accepted."""

from __future__ import annotations

from tests.conformance.bodies import BODIES, CHUNKED, SIZED
from tests.conformance.case import Close, End, ResponseCase
from tests.conformance.replies import (
    GAP,
    HEAD,
    HI,
    IN_CHUNKS,
    OK,
    TO_THE_END,
    TRUNCATION,
    UPGRADE,
    UPGRADE_SEEN,
    cut_off,
    left,
    lines,
    refused,
)

BAD_CHUNKS = [
    cut_off(f"answer: {case.name}", IN_CHUNKS, GAP, case.send[1], outcome="stream_error", rule=case.rule)
    for case in BODIES
    if case.cut_short and case.answers == (400,)
]

FAULTS = [
    cut_off("answer cut short", OK % 5 + b"abc", GAP, Close.ORDERLY),
    cut_off("answer cut at its head", OK % 5, GAP, Close.ORDERLY),
    cut_off("answer cut by a reset", OK % 5 + b"abc", GAP, Close.RESET),
    cut_off("answer cut by half a close", OK % 5 + b"abc", GAP, Close.HALF),
    cut_off("chunks cut short", IN_CHUNKS + b"5\r\nabc", GAP, Close.ORDERLY),
    cut_off("chunks cut before the last", IN_CHUNKS + b"2\r\nhi\r\n", GAP, Close.ORDERLY),
    cut_off("chunks cut in the last", IN_CHUNKS + b"2\r\nhi\r\n0\r\n", GAP, Close.ORDERLY),
    cut_off("chunks cut by a reset", IN_CHUNKS + b"2\r\nhi\r\n", GAP, Close.RESET),
    cut_off("answer to the end cut by a reset", TO_THE_END + b"hi", GAP, Close.RESET),
    left("no answer but a close", Close.ORDERLY),
    left("no answer but a reset", Close.RESET),
    left("no answer but half a close", Close.HALF),
    refused("half a head", b"HTTP/1.1 200 OK\r\ncont", GAP, Close.ORDERLY, outcome="reset", rule=TRUNCATION),
    refused(
        "half a head and a reset",
        b"HTTP/1.1 200 OK\r\ncont",
        GAP,
        Close.RESET,
        outcome="reset",
        rule=TRUNCATION,
    ),
    left("nothing to HEAD", Close.ORDERLY, request=HEAD),
    refused(
        "too many lines in an answer", b"HTTP/1.1 200 OK\r\n" + lines(129) + b"\r\n", rule="limits.headers"
    ),
    refused(
        "answer head too large", b"HTTP/1.1 200 OK\r\n" + lines(20, 1000) + b"\r\n", rule="limits.head_bytes"
    ),
    refused("endless answer head", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000, rule="limits.head_bytes"),
    refused(
        "switch that nobody asked for",
        b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n",
        rule="RFC 9110, 7.8",
    ),
    refused(
        "switch without a protocol",
        b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n",
        rule="RFC 9110, 7.8",
        request=UPGRADE,
        seen=UPGRADE_SEEN,
    ),
    refused(
        "switch in HTTP/1.0",
        b"HTTP/1.0 101 x\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n",
        rule="RFC 9110, 7.8",
        request=UPGRADE,
        seen=UPGRADE_SEEN,
    ),
    refused("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", rule="RFC 9112, 4"),
    refused("alert of TLS", b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", rule="RFC 9112, 4"),
    refused("a page without a head", b"<html>\r\n\r\n</html>", rule="RFC 9112, 4"),
]

FAULTS += [
    ResponseCase(
        name="informational answer and a close",
        rule="RFC 9110, 15.2",
        reply=(b"HTTP/1.1 103 x\r\n\r\n", GAP, Close.ORDERLY),
        status=502,
        counted={"reset": 1},
    ),
    ResponseCase(
        name="seventeen informational answers",
        rule="RFC 9110, 15.2",
        reply=(b"HTTP/1.1 102 x\r\n\r\n" * 17 + HI,),
        status=502,
        counted={"invalid_response": 1},
    ),
]

EARLY = [
    ResponseCase(
        name=name,
        rule="RFC 9112, 9.5",
        reply=reply,
        status=status,
        got=got,
        end=End.CLOSES,
        request=request,
        early=True,
        counted={outcome: 1},
        seen=b"",
    )
    for name, reply, status, got, request, outcome in (
        ("answer before the body", (HI,), 200, HI, (SIZED % 50, b"x" * 10), "ok"),
        (
            "refusal before the body",
            (b"HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n",),
            413,
            b"HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n",
            (SIZED % 50, b"x" * 10),
            "upstream_4xx",
        ),
        ("answer before the chunks", (HI,), 200, HI, (CHUNKED, b"2\r\nab\r\n"), "ok"),
        (
            "refusal before the body, and a close",
            (b"HTTP/1.1 413 x\r\nConnection: close\r\ncontent-length: 0\r\n\r\n", Close.ORDERLY),
            413,
            b"HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n",
            (SIZED % 50, b"x" * 10),
            "upstream_4xx",
        ),
        (
            "refusal instead of 100",
            (b"HTTP/1.1 417 x\r\ncontent-length: 0\r\n\r\n",),
            417,
            b"HTTP/1.1 417 x\r\ncontent-length: 0\r\n\r\n",
            (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",),
            "upstream_4xx",
        ),
    )
]

SILENCES = [
    refused("no answer", 5.0, outcome="timeout_first_byte", status=504, rule="timeouts.first_byte"),
    refused(
        "half a head and silence",
        b"HTTP/1.1 200 OK\r\nx",
        5.0,
        outcome="timeout_first_byte",
        status=504,
        rule="timeouts.first_byte",
    ),
    cut_off("answer that stops", OK % 5 + b"abc", 5.0, outcome="timeout_idle", rule="timeouts.stream_idle"),
    cut_off(
        "chunks that stop coming",
        IN_CHUNKS + b"2\r\nhi\r\n",
        5.0,
        outcome="timeout_idle",
        rule="timeouts.stream_idle",
    ),
    cut_off(
        "answer to the end that stops",
        TO_THE_END + b"hi",
        5.0,
        outcome="timeout_idle",
        rule="timeouts.stream_idle",
    ),
]
