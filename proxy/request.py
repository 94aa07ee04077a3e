"""What a route or a split may look at in a request: the checked head as bytes, read only where asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.target import path_of, percent_decode, query_of

if TYPE_CHECKING:
    from proxy.wire.head import RequestHead

COOKIE = b"\r\ncookie:"


def needle(name: str | bytes) -> bytes:
    """The bytes that find a header in a lower-cased head; made once for each name a table asks for."""
    if isinstance(name, str):
        name = name.encode("latin-1")
    return b"\r\n" + name.lower() + b":"


class RequestView:
    """One request, as the scan of its head left it.

    `data[line_end:end]` are the header lines, each with its CRLF; `data[end:end + 2]` is the blank line.
    The scan has refused folded lines, bare CR or LF and spaces before the colon, which `field` relies on.
    `body` is the whole body where a split needs it and it is within the limit, otherwise None.
    `overridden` is set by `Route.assign`: the client named its variant, so statistics leave it out.
    """

    __slots__ = (
        "block",
        "body",
        "client",
        "data",
        "end",
        "group",
        "host",
        "line_end",
        "method",
        "noted",
        "noted_value",
        "overridden",
        "target",
    )

    def __init__(
        self,
        data: bytes,
        line_end: int,
        end: int,
        method: bytes,
        target: bytes,
        host: bytes,
        client: bytes,
        body: bytes | None = None,
    ) -> None:
        self.data = data
        self.line_end = line_end
        self.end = end
        self.method = method
        self.target = target
        self.host = host
        self.client = client
        self.body = body
        self.overridden = False
        # Set by a split that assigns by a key: which of 64 groups the key falls into.
        self.group = -1
        # The head in lower case; made when a header is first asked for.
        self.block = b""
        # The needle of the field whose value the scan has noted, if there is one, and that value.
        self.noted = b""
        self.noted_value: bytes | None = None

    @staticmethod
    def of(head: RequestHead, data: bytes, end: int, client: bytes, body: bytes | None = None) -> RequestView:
        """The view of a head that has just been scanned."""
        view = RequestView(data, head.line_end, end, head.method, head.target, head.host, client, body)
        view.block = head.lowered
        if head.noted:
            view.noted = head.noted_needle
            view.noted_value = head.noted_value
        return view

    def header(self, name: bytes) -> bytes | None:
        """Value of the first header of this lower-case name, without the spaces around it; None if absent."""
        return self.field(b"\r\n" + name + b":")

    def field(self, needle: bytes) -> bytes | None:
        """`header`, by the needle of its name."""
        data = self.data
        if needle == self.noted:
            return self.noted_value
        at = (self.block or self._lowered()).find(needle, self.line_end - 2)
        if at < 0:
            return None
        start = at + len(needle)
        return data[start : data.find(b"\r", start)].strip(b" \t")

    def cookie(self, name: bytes) -> bytes | None:
        """Value of the first cookie of this name (case matters) over all Cookie lines; None if absent.

        Only `;` parts pairs (RFC 6265, 4.2.1). Quotes around a value are removed, a part without `=` is
        skipped.
        """
        block = self._lowered()
        at = block.find(COOKIE, self.line_end - 2)
        while at >= 0:
            start = at + len(COOKIE)
            value = _cookie_in(self.data[start : self.data.find(b"\r\n", start)], name)
            if value is not None:
                return value
            at = block.find(COOKIE, at + len(COOKIE))
        return None

    def query(self, name: bytes) -> bytes | None:
        """Value of the first query parameter of this name, `+` and %XX decoded; None if absent."""
        query = query_of(self.target)
        if not query:
            return None
        for pair in query.split(b"&"):
            found, _, value = pair.partition(b"=")
            if found == name or _form_decode(found) == name:
                return _form_decode(value)
        return None

    def path_segment(self, index: int) -> bytes | None:
        """Segment `index` (from 0) of the path as sent, %XX decoded; None when the path is shorter."""
        segments = path_of(self.target).split(b"/")
        # The path starts with a slash, so that the first piece is empty.
        if index + 1 >= len(segments):
            return None
        return percent_decode(segments[index + 1])

    def _lowered(self) -> bytes:
        """The head in lower case, at the offsets it has in `data`."""
        block = self.block
        if not block:
            block = self.data[: self.end].lower()
            self.block = block
        return block


def _cookie_in(line: bytes, name: bytes) -> bytes | None:
    """Value of a cookie in one line; looks at those pairs only in which the name occurs at all."""
    at = line.find(name)
    while at >= 0:
        stop = line.find(b";", at)
        pair = line[line.rfind(b";", 0, at) + 1 : stop if stop >= 0 else len(line)]
        found, equals, value = pair.partition(b"=")
        if equals and found.strip(b" \t") == name:
            value = value.strip(b" \t")
            return value[1:-1] if len(value) >= 2 and value[:1] == value[-1:] == b'"' else value
        at = line.find(name, at + len(name))
    return None


def _form_decode(value: bytes) -> bytes:
    return percent_decode(value.replace(b"+", b" "))
