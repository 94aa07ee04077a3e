"""Event streams are taken apart the same way however their bytes are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.streams.events import EVENT_BYTES_MAX, Event, EventScanner

LONG = b"data: " + b"y" * EVENT_BYTES_MAX
HALF = b"data: " + b"z" * (EVENT_BYTES_MAX // 2)
LINES = st.lists(
    st.sampled_from(
        [
            b"data: {}",
            b"data:x",
            b"data:  two spaces",
            b"data",
            b"data: ",
            b"event: error",
            b"event",
            b": keep-alive",
            b":",
            b"id: 7",
            b"error: {}",
            b"",
            b"",
            b"",
            LONG,
            HALF,
            b"\xef\xbb\xbfdata: after a mark",
        ]
    ),
    max_size=14,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def scanned(*pieces: bytes) -> list[Event]:
    scanner = EventScanner()
    return [event for piece in pieces for event in scanner.feed(piece)] + scanner.end()


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream, and the same in pieces."""
    stream = b"".join(line + draw(ENDS) for line in draw(LINES))
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return stream, [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@given(cut_streams())
def test_any_cut_gives_the_same_events(given: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = given
    assert scanned(*pieces) == scanned(stream)


@given(LINES, ENDS)
def test_a_stream_byte_by_byte_gives_the_same_events(lines: list[bytes], end: bytes) -> None:
    """Without the long lines, which take long this way and are cut everywhere above."""
    stream = end.join(line for line in lines if len(line) < 100)
    assert scanned(*(stream[i : i + 1] for i in range(len(stream)))) == scanned(stream)


def test_events_are_found_as_soon_as_their_blank_line_has_come() -> None:
    scanner = EventScanner()

    assert scanner.feed(b"data: a\n") == []
    assert scanner.feed(b"\ndata: b") == [(b"", b"a")]
    assert scanner.feed(b"\r\n\r") == [(b"", b"b")]
    assert scanner.feed(b"\n: wait\n\nevent: x\ndata: 1\ndata: 2\n\n") == [(b"x", b"1\n2")]
    assert scanner.end() == []


def test_the_last_line_may_lack_its_end() -> None:
    assert scanned(b"data: a\n\ndata: [DONE]") == [(b"", b"a"), (b"", b"[DONE]")]


def test_a_name_does_not_outlive_its_event() -> None:
    assert scanned(b"event: ping\n\ndata: a\n\n") == [(b"", b"a")]


def test_what_is_too_long_is_told_of_without_its_data() -> None:
    """Whether as one line or as many; what comes behind it is read as ever."""
    long = b"data: " + b"x" * EVENT_BYTES_MAX + b"\n\n"
    many = b"data: xxxxxxx\n" * (EVENT_BYTES_MAX // 8 + 1) + b"\n"

    assert scanned(long + b"data: a\n\n") == [(b"", None), (b"", b"a")]
    assert scanned(many + b"data: a\n\n") == [(b"", None), (b"", b"a")]


def test_no_more_is_kept_of_a_line_than_what_shows_that_it_is_too_long() -> None:
    scanner = EventScanner()
    for _ in range(64):
        scanner.feed(b"x" * 65_536)

    assert len(scanner._line) <= EVENT_BYTES_MAX + 1
