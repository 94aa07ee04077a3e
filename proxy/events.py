"""Reads server-sent events from bytes (HTML standard, section 9.2), as the link to control uses them."""

from typing import Final, NamedTuple

# One event holds a whole table.
EVENT_BYTES_MAX: Final = 32 * 1024 * 1024


class Event(NamedTuple):
    """One event: its kind and its data."""

    kind: str
    data: bytes


class EventTooLongError(Exception):
    """The sender does not end its event."""


class EventReader:
    """Cuts a stream into events. Comments, which serve as heartbeats, yield nothing."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._kind = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, received: bytes) -> list[Event]:
        """Take received bytes; return the events that are now complete."""
        self._buffer += received
        self._size += len(received)
        if self._size > EVENT_BYTES_MAX:
            raise EventTooLongError(f"an event of more than {EVENT_BYTES_MAX} bytes")
        if b"\n" not in received:
            return []
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        events = [event for line in lines for event in self._line(line.removesuffix(b"\r"))]
        if not self._data:
            self._size = len(rest)
        return events

    def _line(self, line: bytes) -> list[Event]:
        if line:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"event":
                self._kind = value
            elif name == b"data":
                self._data.append(value)
            return []
        kind, data = self._kind or b"message", self._data
        self._kind, self._data = b"", []
        return [Event(kind.decode(errors="replace"), b"\n".join(data))] if data else []
