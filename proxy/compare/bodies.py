"""The content of an answer: without chunks, decompressed within a bound, and what type it says it is."""

from __future__ import annotations

import zlib
from typing import Final

from proxy.wire.chunked import ChunkError, Dechunker

# An answer of a few kilobytes can decompress to gigabytes.
CONTENT_BYTES_MAX: Final = 64 * 1024 * 1024


class ContentError(ValueError):
    """The body is not what the head says it is."""


class Answer:
    """One side's answer: status, header fields and content. `broken` says why the content cannot be read."""

    __slots__ = ("broken", "content", "content_type", "fields", "raw", "status")

    def __init__(self, status: int, head: bytes, body: bytes, *, dechunked: bool = False) -> None:
        self.status = status
        self.fields = fields_of(head)
        self.raw = body
        self.content_type = self.field(b"content-type").split(b";")[0].strip().lower()
        self.content = body
        self.broken = ""
        try:
            self.content = self._content(body, dechunked=dechunked)
        except ContentError as error:
            self.broken = str(error)

    def field(self, name: bytes) -> bytes:
        """The value of a header field (lower-case name), several joined by commas; empty without one."""
        return b", ".join(self.fields.get(name, ()))

    def _content(self, body: bytes, *, dechunked: bool) -> bytes:
        if not dechunked and self.field(b"transfer-encoding").strip().lower() == b"chunked":
            body = unchunked(body)
        for coding in reversed(self.field(b"content-encoding").lower().split(b",")):
            body = decoded(body, coding.strip())
        return body


def fields_of(head: bytes) -> dict[bytes, list[bytes]]:
    """The fields of a head, by lower-case name."""
    found: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def unchunked(body: bytes) -> bytes:
    """The content of a chunked body.

    Raises:
        ContentError: it is none.
    """
    chunks = Dechunker()
    try:
        content = b"".join(chunks.feed(body)) if body else b""
    except ChunkError as error:
        raise ContentError(f"chunked: {error}") from error
    if not chunks.done:
        raise ContentError("chunked: ends too early")
    return content


def decoded(body: bytes, coding: bytes) -> bytes:
    """A body without one content coding (RFC 9110, 8.4.1).

    Raises:
        ContentError: it is not so coded, decompresses to too much, or the coding is not known here.
    """
    if coding in (b"", b"identity") or not body:
        return body
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        raise ContentError(f"content coding {coding[:20].decode('latin-1')} is not read")
    # 32 + 15: gzip or zlib, whichever header is there.
    tries = (47, -15) if coding == b"deflate" else (47,)
    problem = ""
    for window in tries:
        machine = zlib.decompressobj(wbits=window)
        try:
            content = machine.decompress(body, CONTENT_BYTES_MAX)
        except zlib.error as error:
            problem = str(error)
            continue
        if machine.unconsumed_tail:
            raise ContentError(f"decompresses to more than {CONTENT_BYTES_MAX} bytes")
        if not machine.eof:
            raise ContentError("compressed: ends too early")
        return content
    raise ContentError(f"compressed: {problem}")
