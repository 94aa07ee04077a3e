"""What the wire accepts, httptools and h11 accept and frame alike; it is stricter only on purpose."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.chunked import Dechunker
from proxy.wire.head import RequestHead, ResponseHead, find_head_end, scan_request, scan_response
from tests.proxy.wire.cases import REQUESTS, RESPONSES, Case
from tests.proxy.wire.oracles import ask_h11, ask_h11_response, ask_httptools
from tests.proxy.wire.strategies import heads, sound_requests

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKS = b"3\r\nabc\r\n1;x=y\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"

# Accepted here and by h11; llhttp knows a list of methods and no others.
UNKNOWN_METHODS = {"unknown method"}

# What at least one of the two accepts and we refuse, by the reason.
STRICTER = {
    "two requests in one": {"length and chunked", "chunked and length", "chunked and zero", "chunked in 1.0"},
    "length by agreement": {
        "list of lengths",
        "two equal lengths",
        "length of 19 digits",
        "length above 64 bits",
    },
    "codings we do not have": {"gzip and chunked", "unknown and chunked", "gzip and chunked on two lines"},
    "loose lists": {"empty element before", "chunked with a tab behind"},
    "white space that some do not know": {
        "Host with a tab before",
        "Host with a tab behind",
        "tab before a length",
        "tab behind a length",
        "chunked with a tab before",
    },
    "methods nobody uses": {"lower-case method", "method of other characters", "method with a digit"},
    "line ends and folding": {"version and bare LF", "bare LF", "folded line", "chunked by a folded line"},
    "control characters": {
        "DEL in a value",
        "escape in a value",
        "backspace in a value",
        "space before a name",
    },
    "targets": {
        "fragment",
        "asterisk",
        "asterisk of GET",
        "asterisk and more",
        "relative target",
        "connect",
        "trace",
    },
    "framing is not hop-by-hop": {
        "Content-Length nominated",
        "Transfer-Encoding nominated",
        "Host nominated",
    },
}


def check_framing(data: bytes) -> None:
    end = find_head_end(data, 0)
    head = RequestHead()
    if end < 0 or not scan_request(head, data, end, 100) or head.content_length > 1_000_000:
        return
    sent = CHUNKS if head.chunked else b"x" * max(head.content_length, 0)
    content = b"abc!" if head.chunked else sent
    lines = data.count(b"\r\n", 0, end) - 1

    answers = [ask_h11(data[: end + 2] + sent + NEXT), ask_httptools(data[: end + 2] + sent)]
    if head.upgrade_protocol:
        # llhttp may stop for good behind a head that asks for an upgrade, in HTTP/1.0 too.
        answers.pop()

    for message in answers:
        assert message is not None
        assert message.complete
        assert message.method == head.method
        assert message.target == data[: head.line_end].split(b" ")[1]
        assert message.body == content
        # h11 counts what it understood, so a field with a list of codings or lengths is one as well.
        assert message.headers == lines


@given(sound_requests)
@settings(max_examples=150, deadline=None)
def test_accepted_requests_are_framed_alike(data: bytes) -> None:
    """Method, target, number of fields, content and its end agree with both oracles."""
    check_framing(data)


@given(heads)
@settings(max_examples=150, deadline=None)
def test_nothing_is_accepted_that_an_oracle_refuses(data: bytes) -> None:
    """Heads with faults in them are refused here wherever an oracle refuses them."""
    check_framing(data)


@pytest.mark.parametrize(
    "case",
    [case for case in REQUESTS if not case.error and case.name not in UNKNOWN_METHODS],
    ids=lambda case: case.name,
)
def test_good_cases_are_framed_alike(case: Case) -> None:
    """Every request that the table accepts is accepted by both oracles."""
    check_framing(case.data)


@pytest.mark.parametrize("name", sorted(set().union(*STRICTER.values())))
def test_stricter_on_purpose(name: str) -> None:
    """These are refused here although an oracle takes them."""
    case = next(case for case in REQUESTS if case.name == name)

    assert case.error
    assert ask_h11(case.data) is not None or ask_httptools(case.data) is not None


@pytest.mark.parametrize(
    "case",
    [case for case in RESPONSES if not case.error and "101" not in str(case.data)],
    ids=lambda case: case.name,
)
def test_good_responses_are_framed_alike(case: Case) -> None:
    """Every response that the table accepts is accepted by h11 with the same status, content and end."""
    head = ResponseHead()
    assert scan_response(head, case.data, case.end, 100)
    sent = CHUNKS if head.chunked else b"x" * max(head.content_length, 0)
    content = b"abc!" if head.chunked else sent
    empty = head.status < 200 or head.status in (204, 304)

    answer = ask_h11_response(case.data + (b"" if empty else sent))

    assert answer is not None
    status, body, complete = answer
    assert status == head.status
    assert body == (b"" if empty else content)
    # Without a length the body lasts until the connection closes, which it does not here.
    assert complete == (head.status >= 200 and (head.chunked or head.content_length >= 0 or empty))


@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=20), st.sampled_from([b"", b";a", b";a=b", b';a="b"'])),
        max_size=5,
    ),
    st.sampled_from([b"", b"X-Sum: 1\r\n"]),
)
@settings(max_examples=150, deadline=None)
def test_chunked_content_is_the_same(chunks: list[tuple[bytes, bytes]], trailer: bytes) -> None:
    """The content of a chunked body agrees with both oracles."""
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(data), extension, data) for data, extension in chunks)
    body += b"0\r\n" + trailer + b"\r\n"
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    dechunker = Dechunker()

    content = b"".join(dechunker.feed(body + NEXT))

    assert dechunker.rest == NEXT
    for message in (ask_h11(head + body + NEXT), ask_httptools(head + body)):
        assert message is not None
        assert message.complete
        assert message.body == content


@given(
    st.lists(
        st.sampled_from([b"0", b"1", b"a", b"\r\n", b"\n", b";", b"x", b" ", b"0\r\n\r\n"]), max_size=12
    ).map(b"".join)
)
@settings(max_examples=200, deadline=None)
def test_no_chunked_body_ends_here_and_not_there(body: bytes) -> None:
    """Where a body is accepted and complete here, both oracles find the same content and the same end."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    dechunker = Dechunker()
    try:
        content = b"".join(dechunker.feed(body))
    except ValueError:
        return
    if not dechunker.done:
        return
    whole = body[: len(body) - len(dechunker.rest)]

    for message in (ask_h11(head + whole), ask_httptools(head + whole)):
        assert message is not None
        assert message.complete
        assert message.body == content
