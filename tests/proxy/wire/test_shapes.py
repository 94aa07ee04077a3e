"""Shapes are learned slowly, kept few, and take nothing that the general expression does not take."""

import pytest

from proxy.wire.head import RequestHead, ResponseHead
from proxy.wire.scan_regex import plain_request, plain_response
from proxy.wire.shapes import LINES_MAX, NAMES_BYTES_MAX, PATIENCE, SHAPES_MAX

START = b"POST /a?b HTTP/1.1\r\n"
LINES = b"Host: h\r\nX-User-Id:  u \r\nAccept: */*\r\nConnection: keep-alive\r\nContent-Length: 12\r\n"


def read(head: RequestHead, lines: bytes, start: bytes = START) -> bool:
    data = start + lines + b"\r\nbody"
    return plain_request(head, data, len(data) - 6, 100)


def learned(lines: bytes = LINES) -> RequestHead:
    head = RequestHead(noted=b"x-user-id")
    head.shapes.learn(lines)
    return head


def test_a_head_of_a_known_shape_says_what_it_says_to_the_general_expression() -> None:
    """Whatever its values are; the line that stays behind is found where it is."""
    for values in ((b"h", b"u", b"1"), (b"other:80", b"", b"000"), (b"H", b"a  b\t", b"123456789012345678")):
        lines = LINES.replace(b" h\r", b"%b\r" % values[0]).replace(b"  u ", values[1])
        lines = lines.replace(b": 12", b": " + values[2])
        known, general = learned(), RequestHead(noted=b"x-user-id")

        assert known.shapes.known[0].match(START + lines, 0, len(START + lines))
        assert read(known, lines)
        assert read(general, lines)
        names = ("method", "target", "host", "content_length", "noted_value", "cuts", "line_end", "ordinary")
        assert [getattr(known, name) for name in names] == [getattr(general, name) for name in names]
        assert (START + lines)[slice(*known.cuts)] == b"Connection: keep-alive\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        LINES.replace(b"*/*", b"*/\0*"),
        LINES.replace(b"*/*", b"a\nb"),
        LINES.replace(b"Accept:", b"Accept :"),
        LINES.replace(b": 12", b": 1 2"),
        LINES.replace(b": 12", b": +12"),
        LINES.replace(b": 12", b": 1234567890123456789"),
        LINES.replace(b"keep-alive", b"keep-alive, x"),
        LINES.replace(b": keep-alive", b":  keep-alive"),
        LINES.replace(b": h", b": h h"),
        LINES + b"Host: h\r\n",
        LINES + b"Transfer-Encoding: chunked\r\n",
        b" " + LINES,
    ],
)
def test_what_the_general_expression_refuses_a_shape_refuses(lines: bytes) -> None:
    assert not read(RequestHead(noted=b"x-user-id"), lines)
    assert not read(learned(), lines)


def test_a_shape_is_made_after_some_heads_and_the_next_after_more() -> None:
    """So that whoever sends another one each time has hardly any made."""
    head = RequestHead()
    made = []
    for number in range(PATIENCE * 16):
        shape = head.shapes.known[:1]
        assert read(head, b"Host: h\r\nX-%d: 1\r\n" % number)
        if head.shapes.known[:1] != shape:
            made.append(number + 1)

    assert made == [PATIENCE, PATIENCE * 3, PATIENCE * 7, PATIENCE * 15]
    assert len(head.shapes.known) == SHAPES_MAX


def test_the_shape_that_was_found_last_is_looked_for_first() -> None:
    """And the one that was not found for longest gives way."""
    head = RequestHead()
    lines = [b"Host: h\r\n%b: 1\r\n" % name for name in (b"A", b"B", b"D")]
    for some in lines:
        head.shapes.learn(some)
    oldest = head.shapes.known[-1]

    assert read(head, lines[0])
    assert head.shapes.known[0] is oldest
    head.shapes.learn(b"Host: h\r\nE: 1\r\n")
    assert oldest in head.shapes.known
    assert len(head.shapes.known) == SHAPES_MAX


def test_no_shape_is_made_of_a_long_head() -> None:
    """The expression would take longer to make than a request may wait."""
    head = RequestHead()
    head.shapes.learn(b"a: b\r\n" * (LINES_MAX + 1))
    head.shapes.learn(b"a" * (NAMES_BYTES_MAX + 1) + b": b\r\n")

    assert head.shapes.known == []


def test_answers_have_shapes_too() -> None:
    """Servers' heads differ by a date and a length."""
    head = ResponseHead()
    head.shapes.learn(b"Date: now\r\nConnection: keep-alive\r\nContent-Length: 3\r\n")
    data = b"HTTP/1.1 410 Gone\r\nDate: then\r\nConnection: keep-alive\r\nContent-Length: 77\r\n"

    assert head.shapes.known[0].match(data, 0, len(data))
    assert plain_response(head, data + b"\r\n", len(data), 100)
    assert (head.status, head.content_length) == (410, 77)
    assert data[slice(*head.cuts)] == b"Connection: keep-alive\r\n"
