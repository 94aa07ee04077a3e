"""Tests of the reader of server-sent events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import events as events_module
from proxy.events import Event, EventReader, EventTooLongError

STREAM = (
    b": watching\n\n"
    b'event: table\nid: 3\ndata: {"revision":3}\n\n'
    b": heartbeat\n\n"
    b"data: one\r\ndata:two\r\n\r\n"
    b"id: 9\n\n"
    b"event: table\ndata: last\n\n"
)
EVENTS = [Event("table", b'{"revision":3}'), Event("message", b"one\ntwo"), Event("table", b"last")]


@given(st.lists(st.integers(1, 15), min_size=1, max_size=40))
def test_any_chunking_gives_the_same_events(sizes: list[int]) -> None:
    """Comments are silent, lines of data join, and the cuts of the stream do not matter."""
    reader, received, place, turn = EventReader(), list[Event](), 0, 0
    while place < len(STREAM):
        size = sizes[turn % len(sizes)]
        received += reader.feed(STREAM[place : place + size])
        place, turn = place + size, turn + 1

    assert received == EVENTS


def test_cut_event_is_no_event() -> None:
    """A table whose end is missing is never taken for a table."""
    assert EventReader().feed(STREAM.removesuffix(b"\n\n")) == EVENTS[:2]


@pytest.mark.parametrize("chunk", [b"data: xxx\n", b"x" * 10])
def test_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch, chunk: bytes) -> None:
    """One event has a bound, in one line or in many."""
    monkeypatch.setattr(events_module, "EVENT_BYTES_MAX", 100)
    reader = EventReader()
    for _ in range(10):
        reader.feed(chunk)

    with pytest.raises(EventTooLongError):
        reader.feed(chunk)


def test_endless_stream_is_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats may come for ever."""
    monkeypatch.setattr(events_module, "EVENT_BYTES_MAX", 100)
    reader = EventReader()

    assert [reader.feed(b": heartbeat\n\n") for _ in range(1000)] == [[]] * 1000
