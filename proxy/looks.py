"""Who looks at the answers of a route: custom metrics and streams of tokens, each where it is asked for.

Nothing that looks changes, holds or delays a byte: it sees what has been written downstream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from proxy.request import needle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.relay import Relay

CONTENT_ENCODING: Final = needle(b"content-encoding")
CONTENT_TYPE: Final = needle(b"content-type")


class Look(ABC):
    """What is seen of one answer."""

    __slots__ = ()

    @abstractmethod
    def add(self, data: bytes | memoryview) -> None:
        """A piece of the body has been written downstream."""

    @abstractmethod
    def end(self, outcome: int) -> int:
        """The exchange has ended: count what was seen, and return its outcome in the light of that."""

    def first(self, data: bytes) -> None:
        """What came of the body with the head, which is about to be written downstream."""
        self.add(data)


class Looker(ABC):
    """What is to be seen of a route's answers."""

    __slots__ = ()

    @abstractmethod
    def look(self, relay: Relay, data: bytes, end: int, length: int, *, chunked: bool) -> Look | None:
        """Begin to look at the answer whose head is `data[:end]`; None where there is nothing to see.

        `length` is its body's, -1 if not said; `chunked`: what will be shown of it is framed in chunks.
        """


class _Looks(Look):
    """Several at once; each goes by the outcome that the one before it returned."""

    __slots__ = ("_all",)

    def __init__(self, looks: list[Look]) -> None:
        self._all = looks

    def add(self, data: bytes | memoryview) -> None:
        for look in self._all:
            look.add(data)

    def end(self, outcome: int) -> int:
        for look in self._all:
            outcome = look.end(outcome)
        return outcome

    def first(self, data: bytes) -> None:
        for look in self._all:
            look.first(data)


class _Lookers(Looker):
    __slots__ = ("_all",)

    def __init__(self, lookers: Sequence[Looker]) -> None:
        self._all = lookers

    def look(self, relay: Relay, data: bytes, end: int, length: int, *, chunked: bool) -> Look | None:
        begun = (looker.look(relay, data, end, length, chunked=chunked) for looker in self._all)
        looks = [look for look in begun if look is not None]
        return _Looks(looks) if len(looks) > 1 else looks[0] if looks else None


def together(lookers: Sequence[Looker]) -> Looker | None:
    """All of them as one, in this order; None without any."""
    return _Lookers(lookers) if len(lookers) > 1 else lookers[0] if lookers else None


def header(data: bytes, lowered: bytes, end: int, wanted: bytes) -> bytes | None:
    """The value of a header of the head `data[:end]`, by the needle of its name; `lowered` is that head."""
    at = lowered.find(wanted)
    if at < 0:
        return None
    start = at + len(wanted)
    stop = data.find(b"\r\n", start, end)
    return data[start : stop if stop >= 0 else end].strip(b" \t")


def readable(lowered: bytes, end: int) -> bool:
    """Whether a body is sent as it is, not compressed."""
    return (header(lowered, lowered, end, CONTENT_ENCODING) or b"identity") == b"identity"
