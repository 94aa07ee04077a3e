"""An event stream taken apart while it passes, however its bytes are cut (WHATWG HTML, 9.2.6).

Of a line, and of an event of several lines, at most `EVENT_BYTES_MAX` are kept; a longer event is told of
without its data. Comments, ids and events without data are left out.
"""

from __future__ import annotations

import re
from typing import Final

# Chunks with log probabilities of many alternatives take a few KiB; nothing that is looked for is longer.
EVENT_BYTES_MAX: Final = 32 * 1024
_NAME_BYTES_MAX: Final = 64
_BOM: Final = b"\xef\xbb\xbf"
_split_lines: Final = re.compile(rb"\r\n|\n|\r").split

Event = tuple[bytes, bytes | None]
"""Name of an event, empty if it has none, and its data; None when that was too long to be kept."""


class EventScanner:
    """Finds the events of one stream."""

    __slots__ = ("_after_cr", "_began", "_data", "_line", "_name", "_size")

    def __init__(self) -> None:
        # What is there of a line that has not ended.
        self._line = bytearray()
        # Whether the last byte was a CR, so that an LF that follows ends no line of its own.
        self._after_cr = False
        self._began = False
        # The event so far: its name, its lines of data, and their size with the line ends between them.
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that end in `data`, the next piece of the stream."""
        found: list[Event] = []
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        if not data:
            return found
        lines = _split_lines(data)
        self._after_cr = data.endswith(b"\r")
        rest = lines.pop()
        for line in lines:
            if self._line:
                self._keep(line)
                line = bytes(self._line)
                self._line.clear()
            self._take(line, found)
        self._keep(rest)
        return found

    def end(self) -> list[Event]:
        """The event in which the stream ends, if there is one: some servers leave the last line end out."""
        found: list[Event] = []
        self._take(bytes(self._line), found)
        self._take(b"", found)
        self._line.clear()
        return found

    def _keep(self, piece: bytes) -> None:
        """Add to the open line, up to the byte that makes it too long."""
        room = EVENT_BYTES_MAX + 1 - len(self._line)
        self._line += piece if len(piece) <= room else piece[:room]

    def _take(self, line: bytes, found: list[Event]) -> None:
        if not self._began:
            self._began = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                whole = self._size <= EVENT_BYTES_MAX
                found.append((self._name, b"\n".join(self._data) if whole else None))
                self._data = []
                self._size = 0
            self._name = b""
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"error":
            # Some servers (llama.cpp) write the error where the name of the field should be.
            self._name = field
            field = b"data"
        if field == b"data":
            self._size += len(value) + 1
            if len(line) > EVENT_BYTES_MAX:
                self._size = EVENT_BYTES_MAX + 1
            if self._size <= EVENT_BYTES_MAX:
                self._data.append(value)
            else:
                # Of what is too long, the mere fact is kept.
                self._data = [b""]
        elif field == b"event":
            self._name = value[:_NAME_BYTES_MAX]
