"""A request that waits for its body, because the split looks into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.table import Route


class Held:
    """Head and body as they came so far; bounded by the inspection limit, checked by the caller."""

    __slots__ = ("chunked", "content", "end", "head", "pieces", "route", "size", "started_ns")

    def __init__(self, route: Route, head: bytes, end: int, started_ns: int, *, chunked: bool) -> None:
        self.route = route
        self.head = head
        self.end = end
        self.started_ns = started_ns
        self.chunked = chunked
        self.pieces: list[bytes] = []
        # The content, where it came in chunks.
        self.content: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        """Keep a piece of the body as it came."""
        if data:
            self.pieces.append(data)
            self.size += len(data)

    def body(self) -> bytes:
        """Return the body without its framing."""
        return b"".join(self.content if self.chunked else self.pieces)

    def message(self) -> bytes:
        """Return head and body as they came."""
        return self.head + b"".join(self.pieces)
