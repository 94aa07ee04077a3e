"""Heads on their way out lose exactly the lines that were cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.rewrite import cut, header

DATA = b"0123456789"


@pytest.mark.parametrize(
    ("cuts", "left"),
    [
        ([], b"0123456789"),
        ([3, 5], b"0125" + b"6789"),
        ([0, 10], b""),
        ([0, 2, 8, 10], b"234567"),
        ([3, 5, 5, 7], b"012789"),
        ([0, 1, 2, 3, 4, 5], b"1356789"),
    ],
)
def test_cut_leaves_the_rest(cuts: list[int], left: bytes) -> None:
    """What lies outside the ranges stays, in order."""
    assert cut(DATA, 0, len(DATA), cuts) == left


@given(st.data())
def test_cut_in_parts_is_cut_as_a_whole(draw: st.DataObject) -> None:
    """A head written in two parts is what it is when written in one, wherever the parts meet."""
    offsets = sorted(draw.draw(st.lists(st.integers(0, 10), max_size=6)))
    cuts = offsets[: len(offsets) // 2 * 2]
    middle = draw.draw(st.integers(0, 10))

    parts = cut(DATA, 0, middle, cuts) + cut(DATA, middle, 10, cuts)

    dropped = {index for start, end in zip(cuts[::2], cuts[1::2], strict=True) for index in range(start, end)}
    assert parts == cut(DATA, 0, 10, cuts)
    assert parts == bytes(byte for index, byte in enumerate(DATA) if index not in dropped)


HEAD = b"GET /?x-key:%20no HTTP/1.1\r\nX-Key2: a\r\nX-KEY: \t b c \r\nx-key: d\r\nEmpty:\r\n\r\nx-body: e\r\n"
START = HEAD.index(b"\r\n") + 2
END = HEAD.index(b"\r\n\r\n") + 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-key", b"b c"),
        (b"x-key2", b"a"),
        (b"empty", b""),
        (b"x-body", None),
        (b"key", None),
        (b"x-ke", None),
        (b"get /?x-key", None),
    ],
)
def test_header_is_the_first_value(name: bytes, value: bytes | None) -> None:
    """The name is compared whole and without case, the value comes without the white space around it."""
    assert header(HEAD, START, END, name) == value
