"""Chunked bodies (RFC 9112, 7.1): checked as they pass, not rebuilt."""

import re
from typing import Final

from mypy_extensions import i64

from proxy.wire import scan_bytes, scan_regex
from proxy.wire.grammar import COMPILED, FIELD_LINES_RE, TOKEN_RE, VALUE_RE

# Fifteen digits keep a size below 2**60, so that no sum of offsets overflows. The other bounds are several
# times what is seen in practice (signatures as extensions, checksums as trailers), and small beside a
# connection's buffers.
SIZE_DIGITS_MAX: Final = 15
EXTENSIONS_BYTES_MAX: Final = 512
TRAILERS_BYTES_MAX: Final = 8192
TRAILERS_MAX: Final = 64

_LINE_MAX: Final = SIZE_DIGITS_MAX + EXTENSIONS_BYTES_MAX
_QUOTED: Final = rb'"(?>(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"'
# The grammar has optional white space around ";" and "=", which parsers take differently and nobody sends.
_EXTENSIONS: Final = re.compile(
    rb"(?>(?:;" + TOKEN_RE + rb"(?:=(?:" + TOKEN_RE + rb"|" + _QUOTED + rb"))?)+)"
).fullmatch
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15}+)\r\n").match
_PARTIAL: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,15}+(?:;[\t\x20-\x7e\x80-\xff]*+)?)?\r?+").fullmatch
_TRAILERS: Final = re.compile(FIELD_LINES_RE).fullmatch
_PARTIAL_TRAILERS: Final = re.compile(FIELD_LINES_RE + VALUE_RE + rb"\r?+").fullmatch

# Fields that a recipient needs before the body: framing, routing, authentication, control, content
# (RFC 9110, 6.5.1).
FORBIDDEN_TRAILERS: Final = frozenset(
    (
        b"authorization",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"max-forwards",
        b"pragma",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"range",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"www-authenticate",
    )
)

_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILER: Final = 3
_DONE: Final = 4


class ChunkError(ValueError):
    """The body is not what RFC 9112 calls chunked; the message says in a few words why."""


class ChunkTracker:
    """Follows one chunked body through pieces of any size, for a caller who forwards the pieces as they are.

    An unfinished size line or trailer section is not for forwarding yet: it is kept in `tail`, which the
    caller puts in front of the next piece. So nothing is forwarded before it is checked.
    """

    __slots__ = ("_collect", "_left", "_state", "announced", "payload", "tail")

    def __init__(self, *, collect: bool = False) -> None:
        """`collect`: `payload` gets the content of each `feed`, for the caller to take and clear."""
        self._collect = collect
        self._left: i64 = 0
        self._state: i64 = _SIZE
        # Content in bytes of all chunks that have begun; so a limit is known to be broken before they come.
        self.announced: i64 = 0
        self.payload: list[bytes] = []
        self.tail: bytes = b""

    def feed(self, data: bytes, start: i64) -> i64:
        """Follow `data[start:]`: -1 while the body goes on, else the offset behind it.

        After -1 everything up to `len(data) - len(self.tail)` may be forwarded.

        Raises:
            ChunkError: the body is malformed; nothing of this piece should be forwarded.
        """
        i: i64 = start
        end: i64 = len(data)
        self.tail = b""
        if not COMPILED and self._state == _SIZE and not self._collect:
            i = self._whole_chunks(data, start)
        while True:
            state = self._state
            if state == _DATA:
                left = self._left
                if self._collect and i < end:
                    self.payload.append(data[i : min(i + left, end)])
                if end - i < left:
                    self._left = left - (end - i)
                    return -1
                i += left
                state = self._state = _DATA_END
            if state == _DATA_END:
                if end - i < 2:
                    if i < end and data[i] != 13:
                        raise ChunkError("chunk longer than its size")
                    self.tail = data[i:]
                    return -1
                if data[i] != 13 or data[i + 1] != 10:
                    raise ChunkError("chunk longer than its size")
                i += 2
                state = self._state = _SIZE
            if state == _SIZE:
                if i == end:
                    # Where a piece ends with a chunk, as those of event streams do.
                    return -1
                line_end: i64 = -1
                if COMPILED:
                    line_end = scan_bytes.size_end(data, i)
                if line_end < 0:
                    line_end = data.find(b"\r\n", i, i + _LINE_MAX + 2)
                if line_end < 0:
                    self._hold_size(data, i)
                    return -1
                size: i64
                if COMPILED:
                    size = scan_bytes.chunk_size(data, i, line_end)
                else:
                    size = scan_regex.chunk_size(data, i, line_end)
                if size < 0:
                    size = _extended_size(data[i:line_end])
                i = line_end + 2
                if size > 0:
                    self._left = size
                    self.announced += size
                    self._state = _DATA
                    continue
                state = self._state = _TRAILER
            if state == _TRAILER:
                return self._trailers(data, i)
            raise ChunkError("body has ended")

    def _whole_chunks(self, data: bytes, start: int) -> int:
        """Follow the chunks that `data` has whole, as pieces of event streams do; the offset behind them.

        A third of an event's cost less than the steps of `feed`, where these are not compiled.
        """
        line = _CHUNK_LINE(data, start)
        while line is not None:
            size = int(line[1], 16)
            after = line.end() + size + 2
            if size == 0 or data[after - 2 : after] != b"\r\n":
                break
            self.announced += size
            start = after
            line = _CHUNK_LINE(data, start)
        return start

    def _hold_size(self, data: bytes, start: i64) -> None:
        """Keep an unfinished size line, unless it cannot become a valid one."""
        if _PARTIAL(data, start) is None:
            raise ChunkError("malformed chunk line")
        if len(data) - start > _LINE_MAX + 1:
            raise ChunkError("chunk extensions too long")
        self.tail = data[start:]

    def _trailers(self, data: bytes, start: i64) -> i64:
        if data[start : start + 2] == b"\r\n":
            self._state = _DONE
            return start + 2
        blank: i64 = data.find(b"\r\n\r\n", start, start + TRAILERS_BYTES_MAX)
        if blank < 0:
            if len(data) - start >= TRAILERS_BYTES_MAX:
                raise ChunkError("trailer section too long")
            if _PARTIAL_TRAILERS(data, start) is None:
                raise ChunkError("invalid trailer")
            self.tail = data[start:]
            return -1
        _check_trailers(data, start, blank + 2)
        self._state = _DONE
        return blank + 4


class Dechunker:
    """The content of one chunked body, for a peer that does not know chunks."""

    __slots__ = ("_tracker", "done", "rest")

    def __init__(self) -> None:
        self._tracker = ChunkTracker(collect=True)
        self.done = False
        self.rest = b""  # what came behind the body

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of content in `data`, the next piece of the body.

        Raises:
            ChunkError: the body is malformed.
        """
        tracker = self._tracker
        if tracker.tail:
            data = tracker.tail + data
        tracker.payload = []
        end = tracker.feed(data, 0)
        if end >= 0:
            self.done = True
            self.rest = data[end:]
        return tracker.payload


def _extended_size(line: bytes) -> int:
    """The size stated by a line that is more than a number.

    Raises:
        ChunkError: it states none, or its extensions are malformed or too long.
    """
    digits = len(line) - len(line.lstrip(b"0123456789abcdefABCDEF"))
    size = scan_regex.chunk_size(line, 0, digits)
    if size < 0:
        raise ChunkError("malformed chunk line")
    if len(line) - digits > EXTENSIONS_BYTES_MAX:
        raise ChunkError("chunk extensions too long")
    if _EXTENSIONS(line, digits) is None:
        raise ChunkError("malformed chunk line")
    return size


def _check_trailers(data: bytes, start: i64, end: i64) -> None:
    if _TRAILERS(data, start, end) is None:
        raise ChunkError("invalid trailer")
    lines = data[start:end].split(b"\r\n")[:-1]
    if len(lines) > TRAILERS_MAX:
        raise ChunkError("too many trailers")
    for line in lines:
        if line[: line.index(b":")].lower() in FORBIDDEN_TRAILERS:
            raise ChunkError("field not allowed as a trailer")
