"""The byte loops that stand in for searches find what the searches find."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.target import PLAIN_PATH, plain_path_end
from proxy.wire import scan_bytes
from proxy.wire.head import RequestHead, ResponseHead, find_head_end, scan_request, scan_response

crlfs = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bcd"]), max_size=20).map(b"".join)
paths = st.lists(st.sampled_from([b"/", b".", b"a", b"?", b"#", b"%41", b"\\", b"\xe9"]), max_size=8)


@given(crlfs, st.integers(0, 6))
def test_head_end_is_where_find_says(data: bytes, start: int) -> None:
    """The loop and the search agree wherever they begin."""
    found = data.find(b"\r\n\r\n", start)

    assert find_head_end(data, start) == (found + 2 if found >= 0 else -1)
    assert scan_bytes.head_end(data, start) == (found + 2 if found >= 0 else 1)


@given(paths.map(b"".join))
def test_plain_paths_are_the_same_to_loop_and_expression(target: bytes) -> None:
    """Both find the same end, or that the path takes work."""
    match = PLAIN_PATH(target)

    assert plain_path_end(target) == (match.end() if match is not None else -1)


@given(st.text("0aF;\r\n g", max_size=8).map(str.encode))
def test_size_end_is_a_line_of_digits(data: bytes) -> None:
    """A size line of digits alone ends at its CR; anything else is for the slow way."""
    line = data.find(b"\r\n")
    digits = data[: max(line, 0)]
    plain = line >= 0 and not digits.strip(b"0aF")

    assert scan_bytes.size_end(data, 0) == (line if plain else -1)


def test_nothing_of_a_head_is_left_for_the_next() -> None:
    """Cuts, options and framing that one head had are gone when a plain one is read."""
    rich = b"GET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close, b\r\nB: 1\r\nX-Request-Id: 7\r\n"
    plain = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
    head = RequestHead()

    assert scan_request(head, rich + b"\r\n", len(rich), 100)
    assert head.cuts
    assert scan_request(head, plain + b"\r\n", len(plain), 100)

    assert (head.cuts, head.keep_alive, head.request_id_start, head.chunked) == ([], True, -1, False)


def test_a_remembered_response_head_is_recalled_only_whole() -> None:
    """The same bytes are recognised with another body; one byte more, or another scan, and they are not."""
    data = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    head = ResponseHead()
    assert head.recall(data) == -1

    assert scan_response(head, data, len(data) - 2, 100)
    head.remember(data, len(data) - 2)

    assert head.recall(data + b"body") == len(data) - 2
    assert head.recall(data[:-1]) == head.recall(data.replace(b": 0", b": 00")) == -1
    other = b"HTTP/1.1 200 OK\r\n\r\n"
    assert scan_response(head, other, len(other) - 2, 100)
    assert head.recall(data) == -1
    assert head.cuts == []
