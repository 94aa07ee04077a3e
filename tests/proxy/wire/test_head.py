"""Heads are read and refused as the table of cases says, by every form of the scanner."""

import random

import pytest

from proxy.wire.grammar import HOST
from proxy.wire.head import RequestHead, ResponseHead, find_head_end, scan_beginning, scan_request
from proxy.wire.rewrite import cut
from tests.proxy.wire.cases import REQUESTS, RESPONSES, Case, post
from tests.proxy.wire.forms import (
    HEADERS_MAX,
    REQUEST_SCANS,
    RESPONSE_SCANS,
    RequestScan,
    ResponseScan,
    outcome,
)

requests = pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
responses = pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
request_scans = pytest.mark.parametrize("scan", REQUEST_SCANS.values(), ids=REQUEST_SCANS)
response_scans = pytest.mark.parametrize("scan", RESPONSE_SCANS.values(), ids=RESPONSE_SCANS)

# A body behind the head, made of what the scanners look for: none of it may have an effect.
BODY = b"\r\nHost: evil\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n \r\n\0"


def check(case: Case, head: RequestHead | ResponseHead, valid: bool, form: str) -> None:
    if case.error:
        assert not valid, form
        assert head.error in (case.error, 502), form
        assert head.reason, form
        assert case.reason is None or head.reason == case.reason, form
        return
    assert (valid, head.error, head.reason) == (True, 0, ""), form
    assert {name: getattr(head, name) for name in case.expected} == case.expected, form
    forwarded = case.data[: case.end] if case.forwarded is None else case.forwarded
    assert cut(case.data, 0, case.end, head.cuts) == forwarded, form


@requests
def test_request_head_is_read_as_tabled(case: Case) -> None:
    """Each request of the table is accepted with its values, or refused with its status."""
    for form, scan in REQUEST_SCANS.items():
        head = RequestHead()

        valid = scan(head, case.data + BODY, case.end, HEADERS_MAX)

        check(case, head, valid, form)
        assert head.error == case.error, form


@responses
def test_response_head_is_read_as_tabled(case: Case) -> None:
    """Each response of the table is accepted with its values, or refused as a bad gateway."""
    for form, scan in RESPONSE_SCANS.items():
        head = ResponseHead()

        valid = scan(head, case.data + BODY, case.end, HEADERS_MAX)

        check(case, head, valid, form)
        assert head.error == (502 if case.error else 0), form


@request_scans
def test_nothing_of_a_request_is_left_to_the_next(scan: RequestScan) -> None:
    """One object used for all heads in any order finds what a fresh one finds."""
    reused = RequestHead()

    for seed in range(5):
        cases = random.Random(seed).sample(REQUESTS, len(REQUESTS))
        for case in cases:
            fresh = RequestHead()
            scan(reused, case.data, case.end, HEADERS_MAX)
            scan(fresh, case.data, case.end, HEADERS_MAX)

            assert outcome(reused) == outcome(fresh), case.name


@response_scans
def test_nothing_of_a_response_is_left_to_the_next(scan: ResponseScan) -> None:
    """One object used for all heads in any order finds what a fresh one finds."""
    reused = ResponseHead()

    for case in random.Random(1).choices(RESPONSES, k=2000):
        fresh = ResponseHead()
        scan(reused, case.data, case.end, HEADERS_MAX)
        scan(fresh, case.data, case.end, HEADERS_MAX)

        assert outcome(reused) == outcome(fresh), case.name


def test_cuts_handed_out_do_not_change_afterwards() -> None:
    """The list of cuts of one head may be kept while the object reads the next."""
    head = RequestHead()
    data = post(b"TE: x")
    assert scan_request(head, data, len(data) - 2, HEADERS_MAX)
    kept = head.cuts

    assert scan_request(head, post(), len(post()) - 2, HEADERS_MAX)

    assert kept == [27, 34]
    assert head.cuts == []


@request_scans
@pytest.mark.parametrize(("lines", "error"), [(99, 0), (100, 431), (101, 431), (5000, 431)])
def test_header_lines_are_counted(scan: RequestScan, lines: int, error: int) -> None:
    """A head of more lines than allowed is answered 431, Host included in the count."""
    data = post(*[b"X:"] * lines)
    head = RequestHead()

    scan(head, data, len(data) - 2, 100)

    assert head.error == error


@response_scans
@pytest.mark.parametrize(("lines", "error"), [(100, 0), (101, 502)])
def test_header_lines_of_a_response_are_counted(scan: ResponseScan, lines: int, error: int) -> None:
    """A response of more lines than allowed is a bad one."""
    data = b"HTTP/1.1 200 OK\r\n" + b"X:\r\n" * lines + b"\r\n"
    head = ResponseHead()

    scan(head, data, len(data) - 2, 100)

    assert head.error == error


@request_scans
def test_configured_names_are_left_out(scan: RequestScan) -> None:
    """Fields named at construction stay behind, by whatever capitals, and only they."""
    head = RequestHead(drop=(b"x-forwarded-for", b"x-headgate-override", b"x" * 80))
    data = post(
        b"X-Forwarded-For: a",
        b"X-Forwarded: b",
        b"x-headgate-override: v1",
        b"X" * 80 + b": c",
        b"X" * 81 + b": d",
    )

    assert scan(head, data, len(data) - 2, HEADERS_MAX)

    assert cut(data, 0, len(data), head.cuts) == post(b"X-Forwarded: b", b"X" * 81 + b": d")


@request_scans
def test_name_of_the_request_id_is_configurable(scan: RequestScan) -> None:
    """The offsets are those of the field named at construction; with an empty name nothing is looked for."""
    data = post(b"X-Request-Id: a", b"X-Correlation: b")

    head = RequestHead(b"x-correlation")
    assert scan(head, data, len(data) - 2, HEADERS_MAX)
    assert data[head.request_id_start : head.request_id_end] == b"b"

    head = RequestHead(b"")
    assert scan(head, data, len(data) - 2, HEADERS_MAX)
    assert head.request_id_start == -1


def test_framing_cannot_be_configured_away() -> None:
    """A name that the proxy needs keeps its meaning when it is also among those to drop."""
    head = RequestHead(drop=(b"content-length", b"host", b"transfer-encoding"))
    data = post(b"Content-Length: 5")

    assert scan_request(head, data, len(data) - 2, HEADERS_MAX)

    assert (head.content_length, head.host, head.cuts) == (5, b"a", [])


def test_head_end_is_found_in_growing_data() -> None:
    """The blank line is found whatever the pieces, by searches from three bytes before each."""
    data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n"
    for size in range(1, len(data)):
        held = b""
        found = -1
        for start in range(0, len(data), size):
            before = len(held)
            held += data[start : start + size]
            found = find_head_end(held, max(0, before - 3))
            if found >= 0:
                break
        assert found == 25


@pytest.mark.parametrize("case", [case for case in REQUESTS if not case.error], ids=lambda case: case.name)
def test_beginning_of_a_good_request_is_awaited(case: Case) -> None:
    """No beginning of a head that will be accepted is refused."""
    head = RequestHead()

    assert all(scan_beginning(head, case.data[:length]) for length in range(case.end + 2))
    assert head.error == 0


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
        (b"\n", 400),
        (b"GET / HTTP/1.1\rX", 400),
        (b"GET /\r\n", 400),
        (b"GET / HTTP/3.0\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"\r\n", 400),
        (b"hello\r\n", 400),
    ],
)
def test_hopeless_beginning_is_refused_at_once(data: bytes, error: int) -> None:
    """What cannot become a valid head is not waited for."""
    head = RequestHead()

    assert not scan_beginning(head, data)

    assert head.error == error
    assert head.reason


@request_scans
def test_marks_are_seen_of_each_head_anew(scan: RequestScan) -> None:
    """What copies must not have is told by the scan, in any case, and not of the head before."""
    head = RequestHead(marks=(b"authorization", b"x-copied", b"host"))
    found = []
    for line in (b"", b"Authorization: a", b"", b"X-COPIED:", b"X-Copied-Too: 1", b"A: authorization:"):
        data = b"GET / HTTP/1.1\r\nHost: a\r\n" + (line and line + b"\r\n") + b"\r\n"
        assert scan(head, data, len(data) - 2, HEADERS_MAX)
        found.append(head.marked)

    assert found == [False, True, False, True, False, False]
    # Another meaning of a name goes first: whoever marks it has to look for it.
    assert head.kinds[b"host"] == HOST
