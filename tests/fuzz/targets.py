"""What must hold for any bytes at all; each target raises AssertionError where it does not."""

from __future__ import annotations

from proxy.wire.chunked import ChunkError, ChunkTracker, Dechunker
from proxy.wire.head import (
    RequestHead,
    ResponseHead,
    find_head_end,
    scan_beginning,
    scan_request,
    scan_response,
)
from tests.proxy.wire.oracles import ask_h11, ask_httptools
from tests.proxy.wire.test_oracles import check_framing

POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LINES_MAX = 100
METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ")


def heads(data: bytes) -> None:
    """What is accepted here, httptools and h11 accept and frame alike."""
    # llhttp knows a list of methods and no others.
    if data.startswith(METHODS):
        check_framing(data)


def beginnings(data: bytes) -> None:
    """No beginning of a head that is accepted is refused before the rest is there."""
    end = find_head_end(data, 0)
    head = RequestHead()
    if end < 0 or not scan_request(head, data, end, LINES_MAX):
        return
    for stop in range(1, end + 1):
        assert scan_beginning(head, data[:stop]), (data[:stop], head.reason)


def responses(data: bytes) -> None:
    """A response head is accepted or refused with a reason, and nothing else happens."""
    end = find_head_end(data, 0)
    head = ResponseHead()
    if end >= 0 and not scan_response(head, data, end, LINES_MAX):
        assert head.error == 502
        assert head.reason


def bodies(data: bytes) -> None:
    """A chunked body that is complete here is complete for both oracles, with the same content and end."""
    dechunker = Dechunker()
    try:
        content = b"".join(dechunker.feed(data))
    except ChunkError:
        return
    if not dechunker.done:
        return
    whole = data[: len(data) - len(dechunker.rest)]
    for message in (ask_h11(POST + whole), ask_httptools(POST + whole)):
        assert message is not None, whole
        assert message.complete, whole
        assert message.body == content, whole


def splits(data: bytes) -> None:
    """However a chunked body is cut into pieces, its content, its end and its refusal are the same."""
    whole = followed([data])
    for size in {1, 2, 3, 7, 1 + data[0] % 64} if data else ():
        assert followed([data[at : at + size] for at in range(0, len(data), size)]) == whole, size


def followed(pieces: list[bytes]) -> tuple[bytes, int]:
    """Content and end of a chunked body in pieces; the end is -1 while it goes on, -2 when it is refused."""
    tracker = ChunkTracker(collect=True)
    content: list[bytes] = []
    seen = 0
    for piece in pieces:
        tail = tracker.tail
        try:
            end = tracker.feed(tail + piece, 0)
        except ChunkError:
            return b"", -2
        content += tracker.payload
        tracker.payload = []
        if end >= 0:
            return b"".join(content), seen - len(tail) + end
        seen += len(piece)
    return b"".join(content), -1


TARGETS = {
    "heads": heads,
    "beginnings": beginnings,
    "responses": responses,
    "bodies": bodies,
    "splits": splits,
}
