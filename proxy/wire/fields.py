"""What the fields of a head mean to a proxy: framing, persistence, upgrade and what stays behind."""

from collections.abc import Callable
from typing import Final

from mypy_extensions import i64

from proxy.wire.grammar import (
    CONNECTION,
    DROP,
    EXPECT,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HOP,
    MARKED,
    NEVER_NOMINATED,
    NOTED,
    REQUEST_ID,
    SHARED_KINDS,
    TRANSFER_ENCODING,
    UPGRADE,
    is_token,
    name_expression,
    name_filter,
    valid_host,
)

OWS: Final = b" \t"
# Around lengths, codings and hosts: a tab is white space to some parsers and part of the value to others.
SPACE: Final = b" "


class Fields:
    """The outcome of one scan, filled again and again by the same worker.

    A scanner finds the start line and the known fields and reports each to `sized`, `hosted` or `special`;
    what they mean is decided here, once for both scanners.
    """

    __slots__ = (
        "chunked",
        "close",
        "content_length",
        "cuts",
        "error",
        "expect",
        "find_known",
        "forwarded_host",
        "forwarded_proto",
        "host",
        "host_line",
        "host_value",
        "keep_alive",
        "kinds",
        "line_end",
        "lowered",
        "marked",
        "method",
        "minor",
        "name_filter",
        "name_kinds",
        "names",
        "nominated",
        "noted_value",
        "ordinary",
        "reason",
        "request_id_end",
        "request_id_start",
        "status",
        "target",
        "touched",
        "unmixed",
        "upgrade",
        "upgrade_protocol",
    )

    def __init__(self, kinds: dict[bytes, int], drop: tuple[bytes, ...]) -> None:
        self.kinds: dict[bytes, int] = {**dict.fromkeys(drop, DROP), **SHARED_KINDS, **kinds}
        self.names: list[bytes] = list(self.kinds)
        self.name_kinds: list[int] = list(self.kinds.values())
        self.name_filter = name_filter(self.names)
        self.find_known: Callable[[bytes], list[tuple[bytes, bytes]]] = self._first_find
        self.host_line = b"\n"  # no value: an empty one must not look as if it had been seen
        self.host_value = b""
        # The start line's, which the scanner sets whenever it accepts one.
        self.method: bytes = b""
        self.target: bytes = b""
        self.status: i64 = 0
        self.line_end: i64 = 0
        self.cuts: list[int] = []
        self.nominated: list[bytes] = []  # lower-case names of other fields to leave out
        # The head in lower case, where the scanner made one on its way; otherwise empty.
        self.lowered: bytes = b""
        self.error: int = 0
        self.reason: str = ""
        self.minor: i64 = 1
        self.content_length: i64 = -1
        self.keep_alive: bool = False  # the option of that name was there
        # A request that is passed on as it came, but for at most one line.
        self.ordinary: bool = False
        # Read by `scan_regex.plain_request`, which finds its own work again.
        self.unmixed: bool = False
        self.host: bytes = b""
        # Of the header that a split goes by (NOTED): its first value, without white space around it.
        self.noted_value: bytes | None = None
        # Whether `special` has been called since the last reset: most heads have no such field.
        self.touched: bool = True
        self.reset()

    def _first_find(self, lower: bytes) -> list[tuple[bytes, bytes]]:
        """Make `find_known`, which finds name and value of known fields, when it is used first."""
        self.find_known = name_expression(self.kinds).findall
        return self.find_known(lower)

    def reset(self) -> None:
        """Forget what the fields of the head before meant."""
        self.minor = 1
        self.content_length = -1
        self.keep_alive = False
        self.ordinary = False
        self.unmixed = False
        self.host = b""
        self.noted_value = None
        if self.cuts:
            self.cuts = []
        if self.error:
            self.error = 0
            self.reason = ""
        if self.touched:
            self._untouch()

    def _untouch(self) -> None:
        self.touched = False
        self.chunked: bool = False
        self.close: bool = False
        self.upgrade: bool = False
        self.upgrade_protocol: bytes = b""
        self.expect: bool = False
        self.request_id_start: i64 = -1
        self.request_id_end: i64 = -1
        self.forwarded_proto: bool = False
        self.forwarded_host: bool = False
        self.marked: bool = False
        if self.nominated:
            self.nominated = []

    def fail(self, error: int, reason: str) -> bool:
        """Refuse the head; False, so that callers can return it."""
        self.error = error
        self.reason = reason
        return False

    def sized(self, length: i64) -> bool:
        """A Content-Length field; `length` is -1 when its value is no number of at most 18 digits."""
        if length < 0:
            return self.fail(400, "invalid Content-Length")
        if self.content_length >= 0:
            return self.fail(400, "several Content-Length fields")
        if self.chunked:
            return self.fail(400, "Content-Length with Transfer-Encoding")
        self.content_length = length
        return True

    def hosted(self, line: bytes) -> bool:
        """A Host field; `line` is its value, perhaps with spaces around it."""
        if self.host:  # an empty one is never taken
            return self.fail(400, "several Host fields")
        # Most requests of a connection, and of a sidecar, carry the same Host: compare before matching.
        if line != self.host_line:
            value = line.strip(SPACE)
            if not valid_host(value):
                return self.fail(400, "invalid Host")
            self.host_line = line
            self.host_value = value.lower()
        self.host = self.host_value
        return True

    def special(self, kind: i64, data: bytes, start: i64, value: i64, value_end: i64) -> bool:
        """Any other known field: a line from `start` with the value `data[value:value_end]` and CRLF."""
        if kind == NOTED:
            if self.noted_value is None:
                self.noted_value = data[value:value_end].strip(OWS)
            return True
        self.touched = True
        if kind == MARKED:
            self.marked = True
            return True
        if kind == TRANSFER_ENCODING:
            return self._take_coding(data[value:value_end].strip(SPACE).lower())
        if kind == EXPECT:
            self.expect = data[value:value_end].strip(OWS).lower() == b"100-continue"
            return True
        if kind == REQUEST_ID:
            return self._take_request_id(data, start, value, value_end)
        if kind == FORWARDED_PROTO:
            self.forwarded_proto = True
            return True
        if kind == FORWARDED_HOST:
            self.forwarded_host = True
            return True
        self.cuts.append(start)
        self.cuts.append(value_end + 2)
        if kind == CONNECTION:
            return self._take_connection(data[value:value_end].lower())
        if kind == UPGRADE:
            protocol = data[value:value_end].strip(OWS)
            self.upgrade_protocol = (
                self.upgrade_protocol + b", " + protocol if self.upgrade_protocol else protocol
            )
        return True

    def leave_out_nominated(self, data: bytes, end: i64) -> None:
        """Add the lines named in `nominated` to `cuts`, which stay in order."""
        self.touched = True
        names = frozenset(self.nominated)
        starts = frozenset(self.cuts[::2])
        pairs = list(zip(self.cuts[::2], self.cuts[1::2], strict=True))
        start = int(self.line_end)
        while start < end:
            after = data.index(b"\n", start) + 1
            if start not in starts and data[start : data.index(b":", start)].lower() in names:
                pairs.append((start, after))
                if start < self.request_id_start < after:
                    self.request_id_start = self.request_id_end = -1
            start = after
        pairs.sort()
        self.cuts = [offset for pair in pairs for offset in pair]

    def _take_coding(self, value: bytes) -> bool:
        if self.chunked:
            return self.fail(400, "several Transfer-Encoding fields")
        if value != b"chunked":
            codings = [coding.lstrip(OWS).rstrip(b" ") for coding in value.split(b",")]
            # Without chunked as the last coding the end of the body is unknown (RFC 9112, 6.3), which is
            # worse than a coding we do not have.
            if codings[-1] != b"chunked" or b"chunked" in codings[:-1] or not all(codings):
                return self.fail(400, "Transfer-Encoding does not end in one chunked")
            return self.fail(501, "unknown transfer coding")
        if self.content_length >= 0:
            return self.fail(400, "Content-Length with Transfer-Encoding")
        self.chunked = True
        return True

    def _take_request_id(self, data: bytes, start: i64, value: i64, value_end: i64) -> bool:
        if self.request_id_start >= 0:
            return True
        while value < value_end and (data[value] == 32 or data[value] == 9):
            value += 1
        end: i64 = value_end
        while end > value and (data[end - 1] == 32 or data[end - 1] == 9):
            end -= 1
        if value == end:
            # An empty identifier identifies nothing; leave it out, so that the one added is the only one.
            self.cuts.append(start)
            self.cuts.append(value_end + 2)
        else:
            self.request_id_start = value
            self.request_id_end = end
        return True

    def _take_connection(self, value: bytes) -> bool:
        for part in value.split(b","):
            option = part.strip(OWS)
            if option == b"close":
                self.close = True
            elif option == b"keep-alive":
                self.keep_alive = True
            elif option == b"upgrade":
                self.upgrade = True
            elif not option:
                continue
            elif option in NEVER_NOMINATED:
                return self.fail(400, "Connection names a field that cannot be hop-by-hop")
            elif not is_token(option):
                return self.fail(400, "invalid Connection option")
            elif self.kinds.get(option) != HOP:
                self.nominated.append(option)
        return True
