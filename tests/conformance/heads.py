"""Single requests, one for each line of the wire's own table of heads."""

from __future__ import annotations

from tests.conformance.case import End, RequestCase
from tests.proxy.wire import cases as wire

RULES = (
    (wire.START_LINES, "RFC 9112, 3"),
    (wire.ABSOLUTE, "RFC 9112, 3.2.2"),
    (wire.HOSTS, "RFC 9112, 3.2"),
    (wire.FRAMING, "RFC 9112, 6"),
    (wire.FIELD_LINES, "RFC 9112, 5"),
    (wire.PERSISTENCE, "RFC 9112, 9.3"),
    (wire.HOP_BY_HOP, "RFC 9110, 7.6.1"),
    (wire.REQUEST_IDS, "Headgate"),
)
BODY_MAX = 1000
# A matter of size, not of form.
LIMITED = {"long name"}


def heads() -> list[RequestCase]:
    """The table as conversations."""
    return [
        _conversation(case, "limits.head_bytes" if case.name in LIMITED else rule)
        for table, rule in RULES
        for case in table
        if _has_an_end(case)
    ]


def _has_an_end(case: wire.Case) -> bool:
    return bool(case.error) or int(str(case.expected.get("content_length", 0))) <= BODY_MAX


def _conversation(case: wire.Case, rule: str) -> RequestCase:
    if case.error:
        # What stands behind a refused request is never read, so it cannot be smuggled past.
        send = (case.data + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",)
        if case.data.startswith(b"\r\n"):
            return _after_an_empty_line(case, rule)
        return RequestCase(
            name=case.name,
            rule=rule,
            send=send,
            answers=(case.error,),
            seen=b"",
            end=End.CLOSES,
            counted={"malformed": 1},
        )
    forwarded = case.data[:-2] if case.forwarded is None else case.forwarded
    body = b""
    length = case.expected.get("content_length", -1)
    if case.expected.get("chunked"):
        body = b"3\r\nabc\r\n0\r\n\r\n"
    elif isinstance(length, int) and length > 0:
        body = b"x" * length
    line, _, lines = forwarded.partition(b"\r\n")
    old = line.endswith(b"HTTP/1.0")
    if old:
        # RFC 9110, 2.5: a proxy speaks its own version.
        forwarded = line[:-1] + b"1\r\n" + lines
    keeps = (not old or case.expected.get("keep_alive")) and case.expected.get("keep_alive") is not False
    return RequestCase(
        name=case.name,
        rule=rule,
        send=(case.data + body,),
        answers=(200,),
        seen=forwarded + b"\r\n" + body,
        end=End.STAYS if keeps else End.CLOSES,
        counted={"ok": 1},
        heads=(0,) if case.data.startswith(b"HEAD ") else (),
    )


def _after_an_empty_line(case: wire.Case, rule: str) -> RequestCase:
    """One empty line before a request is skipped (RFC 9112, 2.2); the scanner itself takes none."""
    return RequestCase(
        name=case.name,
        rule=rule,
        send=(case.data,),
        answers=(200,),
        seen=case.data[2:],
        counted={"ok": 1},
    )
