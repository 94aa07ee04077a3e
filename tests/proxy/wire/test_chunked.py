"""Chunked bodies are followed exactly, refused when malformed, and whatever the pieces they come in."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import scan_bytes, scan_regex
from proxy.wire.chunked import (
    EXTENSIONS_BYTES_MAX,
    FORBIDDEN_TRAILERS,
    TRAILERS_BYTES_MAX,
    TRAILERS_MAX,
    ChunkError,
    ChunkTracker,
    Dechunker,
)

GOOD: list[tuple[bytes, bytes]] = [
    (b"0\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    (b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n000\r\n\r\n", b"abc"),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"00000000000000a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
    (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    (b"1;a\r\nx\r\n0;b=c\r\n\r\n", b"x"),
    (b'1;a="q;\\"\t\xe9";b\r\nx\r\n0\r\n\r\n', b"x"),
    (b"1;" + b"a" * (EXTENSIONS_BYTES_MAX - 1) + b"\r\nx\r\n0\r\n\r\n", b"x"),
    (b"1\r\nx\r\n0\r\nX-Sum: 1\r\nX-Two:\r\n\r\n", b"x"),
    (b"0\r\nX: \xe9\t\r\n\r\n", b""),
    (b"0\r\n" + b"X:\r\n" * TRAILERS_MAX + b"\r\n", b""),
]

BAD: list[tuple[bytes, str]] = [
    (b"\r\n", "malformed chunk line"),
    (b"x\r\n", "malformed chunk line"),
    (b"-1\r\n", "malformed chunk line"),
    (b"+1\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"0x1\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1_0\r\n", "malformed chunk line"),
    (b" 1\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1 \r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1 ;a\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1; a\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1;a =b\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1 1\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"g\r\n", "malformed chunk line"),
    (b"1g\r\n", "malformed chunk line"),
    (b"1000000000000000\r\n", "malformed chunk line"),
    (b"0000000000000001\r\nx", "malformed chunk line"),
    (b"fffffffffffffffff\r\n", "malformed chunk line"),
    (b"\xb2\r\n", "malformed chunk line"),
    (b"1\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1\rx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1\r\r\nx\r\n0\r\n\r\n", "malformed chunk line"),
    (b"1\0\r\n", "malformed chunk line"),
    (b";a\r\n", "malformed chunk line"),
    (b"1;\r\nx\r\n", "malformed chunk line"),
    (b"1;;a\r\nx\r\n", "malformed chunk line"),
    (b"1;a=\r\nx\r\n", "malformed chunk line"),
    (b"1;=b\r\nx\r\n", "malformed chunk line"),
    (b'1;a="b\r\nx\r\n', "malformed chunk line"),
    (b"1;a b\r\nx\r\n", "malformed chunk line"),
    (b"1;a\nb\r\nx\r\n", "malformed chunk line"),
    (b"1;a\rb\r\nx\r\n", "malformed chunk line"),
    (b"1;a\0\r\nx\r\n", "malformed chunk line"),
    (b"1;" + b"a" * EXTENSIONS_BYTES_MAX + b"\r\nx", "chunk extensions too long"),
    (b"1;" + b"a" * 100_000, "chunk extensions too long"),
    (b"1\r\nxx\r\n0\r\n\r\n", "chunk longer than its size"),
    (b"1\r\nx0\r\n\r\n", "chunk longer than its size"),
    (b"1\r\nx\n0\r\n\r\n", "chunk longer than its size"),
    (b"1\r\nx\r0\r\n\r\n", "chunk longer than its size"),
    (b"0\r\n\n", "invalid trailer"),
    (b"0\r\nX : y\r\n\r\n", "invalid trailer"),
    (b"0\r\nX\r\n\r\n", "invalid trailer"),
    (b"0\r\n: y\r\n\r\n", "invalid trailer"),
    (b"0\r\n X: y\r\n\r\n", "invalid trailer"),
    (b"0\r\nX: y\r\n z\r\n\r\n", "invalid trailer"),
    (b"0\r\nX: \0\r\n\r\n", "invalid trailer"),
    (b"0\r\nX: a\nY: b\r\n\r\n", "invalid trailer"),
    (b"0\r\nX: a\rY: b\r\n\r\n", "invalid trailer"),
    (b"0\r\nContent-Length: 5\r\n\r\n", "field not allowed as a trailer"),
    (b"0\r\nX: y\r\ntransfer-encoding: chunked\r\n\r\n", "field not allowed as a trailer"),
    (b"0\r\n" + b"X:\r\n" * (TRAILERS_MAX + 1) + b"\r\n", "too many trailers"),
    (b"0\r\nX: " + b"y" * TRAILERS_BYTES_MAX + b"\r\n\r\n", "trailer section too long"),
    (b"0\r\nX: " + b"y" * 100_000, "trailer section too long"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What became of a body that came in pieces."""

    forwarded: bytes
    payload: bytes
    rest: bytes | None
    error: str


def follow(pieces: list[bytes]) -> Followed:
    """Feed pieces as a data plane does: held bytes in front of the next piece, checked bytes onwards."""
    tracker = ChunkTracker(collect=True)
    forwarded: list[bytes] = []
    for index, piece in enumerate(pieces):
        data = tracker.tail + piece
        try:
            end = tracker.feed(data, 0)
        except ChunkError as error:
            return Followed(
                forwarded=b"".join(forwarded), payload=b"".join(tracker.payload), rest=None, error=str(error)
            )
        if end >= 0:
            forwarded.append(data[:end])
            rest = data[end:] + b"".join(pieces[index + 1 :])
            return Followed(
                forwarded=b"".join(forwarded), payload=b"".join(tracker.payload), rest=rest, error=""
            )
        forwarded.append(data[: len(data) - len(tracker.tail)])
        assert len(tracker.tail) <= TRAILERS_BYTES_MAX
    return Followed(forwarded=b"".join(forwarded), payload=b"".join(tracker.payload), rest=None, error="")


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in pieces that end at the cuts."""
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize(("body", "payload"), GOOD)
def test_good_body_is_followed_to_its_end(body: bytes, payload: bytes) -> None:
    """The end is the offset just behind the body, and all of it is forwarded as it came."""
    followed = follow([body + b"next"])

    assert followed == Followed(forwarded=body, payload=payload, rest=b"next", error="")


@pytest.mark.parametrize(("body", "payload"), GOOD)
def test_good_body_byte_by_byte(body: bytes, payload: bytes) -> None:
    """The pieces make no difference."""
    followed = follow([bytes([byte]) for byte in body + b"next"])

    assert followed == Followed(forwarded=body, payload=payload, rest=b"next", error="")


@pytest.mark.parametrize(("body", "reason"), BAD)
def test_bad_body_is_refused(body: bytes, reason: str) -> None:
    """A malformed body raises with its reason; so it does when its end has not come yet."""
    assert follow([body]).error == reason
    assert follow([bytes([byte]) for byte in body]).error


@pytest.mark.parametrize(("body", "reason"), BAD)
def test_nothing_malformed_is_forwarded(body: bytes, reason: str) -> None:
    """What was forwarded byte by byte before a refusal is the beginning of a good body."""
    forwarded = follow([bytes([byte]) for byte in body]).forwarded

    assert follow([forwarded]).error == ""


@pytest.mark.parametrize("name", sorted(FORBIDDEN_TRAILERS))
def test_trailers_that_frame_or_route_are_refused(name: bytes) -> None:
    """A trailer cannot add what should have been known before the body."""
    with pytest.raises(ChunkError, match="not allowed"):
        ChunkTracker().feed(b"0\r\n" + name.title() + b": x\r\n\r\n", 0)


def test_body_may_begin_behind_a_head() -> None:
    """The offset where the body begins is honoured, and the end counts from the beginning of the data."""
    assert ChunkTracker().feed(b"head5\r\nhello\r\n0\r\n\r\nnext", 4) == 19


def test_nothing_is_fed_after_the_end() -> None:
    """A tracker that saw its end refuses more: a caller's mistake must not pass as a body."""
    tracker = ChunkTracker()
    assert tracker.feed(b"0\r\n\r\n", 0) == 5

    with pytest.raises(ChunkError):
        tracker.feed(b"0\r\n\r\n", 0)


def test_large_chunk_is_not_held_back() -> None:
    """Of a chunk that is still coming all bytes go on at once."""
    tracker = ChunkTracker()

    assert tracker.feed(b"fffffff\r\n" + b"x" * 1_000_000, 0) == -1
    assert tracker.tail == b""
    assert tracker.feed(b"y" * 1_000_000, 0) == -1
    assert tracker.tail == b""


def test_dechunker_gives_content_and_rest() -> None:
    """For a peer without chunks only the content is left, and what came behind is kept."""
    dechunker = Dechunker()

    assert dechunker.feed(b"5\r\nhe") == [b"he"]
    assert dechunker.feed(b"llo\r") == [b"llo"]
    assert dechunker.feed(b"\n1;") == []
    assert not dechunker.done
    assert dechunker.feed(b"a\r\n!\r\n0\r\nX: y\r\n\r\nnext") == [b"!"]
    assert dechunker.done
    assert dechunker.rest == b"next"


chunk_lists = st.lists(
    st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from([b"", b";a", b';a="b c"', b";x=y"])),
    max_size=6,
)
trailer_lists = st.lists(st.sampled_from([b"X-Sum: 1\r\n", b"x:\r\n"]), max_size=3)
cut_lists = st.lists(st.integers(0, 1_000), max_size=12)


@given(chunk_lists, trailer_lists, cut_lists)
@settings(max_examples=150, deadline=None)
def test_any_pieces_of_a_good_body_give_the_same(
    chunks: list[tuple[bytes, bytes]], trailers: list[bytes], cuts: list[int]
) -> None:
    """Content, forwarded bytes and end do not depend on where the body was cut."""
    coded = b"".join(b"%x%s\r\n%s\r\n" % (len(data), extension, data) for data, extension in chunks)
    body = coded + b"0\r\n" + b"".join(trailers) + b"\r\n"

    followed = follow(split(body + b"GET / ", cuts))

    payload = b"".join(data for data, _ in chunks)
    assert followed == Followed(forwarded=body, payload=payload, rest=b"GET / ", error="")


FRAGMENTS = [
    b"0",
    b"1",
    b"a",
    b"\r\n",
    b"\r",
    b"\n",
    b";",
    b"a=b",
    b" ",
    b"x",
    b"X: y",
    b"0\r\n\r\n",
    b"1\r\nx\r\n",
    b'"',
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20).map(b"".join) | st.binary(max_size=60), cut_lists)
@settings(max_examples=200, deadline=None)
def test_any_pieces_of_anything_give_the_same(body: bytes, cuts: list[int]) -> None:
    """Accepted whole is accepted in pieces, with the same result; refused whole is refused in pieces."""
    whole = follow([body])

    pieces = follow(split(body, cuts))

    assert bool(whole.error) == bool(pieces.error)
    assert whole.error or pieces == whole


@given(st.text("0123456789abcdefABCDEFgx +-_;\r\n\t", max_size=18).map(str.encode) | st.binary(max_size=17))
@settings(max_examples=200, deadline=None)
def test_both_forms_read_the_same_size(digits: bytes) -> None:
    """The byte loop and the regular expression accept the same numbers."""
    data = b"x" + digits + b"\r\n"

    size = scan_bytes.chunk_size(data, 1, 1 + len(digits))

    assert size == scan_regex.chunk_size(data, 1, 1 + len(digits))
    if size >= 0:
        assert size == int(digits, 16)
