"""Puts the name of the model that a client knows into its answer, on its way out.

It stands between an exchange and its client's socket, for one answer, where the request went out under
another name; everything else writes to the socket itself. A JSON answer is kept until it is whole, for its
length changes; a stream of events goes on line by line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.counters import MODEL_NAMES_KEPT
from proxy.model_names import rename, restored, restored_events, with_length
from proxy.wire.chunked import ChunkTracker

if TYPE_CHECKING:
    from proxy.client import ClientConnection
    from proxy.held import Held

AWAITED: Final = 0
WHOLE: Final = 1  # the answer is collected
EVENTS: Final = 2  # it goes on line by line
DONE: Final = 3

UNTIL_CLOSE: Final = -1
# Behind this an event's line goes on as it came.
LINE_BYTES_MAX: Final = 1024 * 1024


class Restorer:
    """What a client's connection writes through while it is owed an answer under another name."""

    __slots__ = (
        "_client",
        "_head",
        "_left",
        "_limit",
        "_line",
        "_raw",
        "_size",
        "_state",
        "_tracker",
        "name",
    )

    def __init__(self, client: ClientConnection, name: bytes, limit: int) -> None:
        """`name`: what the client calls the model, as a JSON string; `limit`: bytes kept of an answer."""
        self._client = client
        self.name = name
        self._limit = limit
        self._state = AWAITED
        self._head = b""
        self._left = UNTIL_CLOSE
        self._tracker: ChunkTracker | None = None
        # Of an answer that is collected, what came as it came; of events, the line that has no end yet.
        self._raw: list[bytes] = []
        self._size = 0
        self._line = b""
        client.write = self.write
        client.restorer = self

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take what is for the client. A head comes whole, and begins what it comes in."""
        piece = bytes(data)
        if self._state == AWAITED:
            self._on_head(piece)
        elif self._state == WHOLE:
            self._collect(piece)
        elif self._state == EVENTS:
            self._pass_events(piece)
        else:
            self._client.transport.write(piece)

    def end(self) -> None:
        """The connection closes behind the answer, which may be its end."""
        if self._state == WHOLE:
            self._finish(b"".join(self._raw))
        elif self._state == EVENTS:
            out, self._line = restored_events(self._line, self.name), b""
            self._leave()
            self._client.transport.write(out)
        else:
            self._leave()

    def _leave(self) -> None:
        """From now on the connection writes to its socket again."""
        self._state = DONE
        self._raw = []
        client = self._client
        client.write = client.transport.write
        client.restorer = None

    def _on_head(self, data: bytes) -> None:
        end = data.index(b"\r\n\r\n") + 2
        status = int(data[9:12])
        if 100 <= status < 200 and status != 101:
            self._client.transport.write(data)
            return
        fields = _fields(data[:end])
        kind = fields.get(b"content-type", b"")
        events = kind.startswith(b"text/event-stream")
        if status in (101, 204, 304) or not (events or b"json" in kind.partition(b";")[0]):
            self._leave()
            self._client.transport.write(data)
            return
        chunked = b"transfer-encoding" in fields
        length = int(fields.get(b"content-length", b"-1"))
        if fields.get(b"content-encoding", b"identity") != b"identity" or length > self._limit:
            self._give_up(data)
            return
        self._head = data[:end]
        self._tracker = ChunkTracker(collect=True) if chunked else None
        self._left = length
        if events and length < 0:
            self._state = EVENTS
            self._client.transport.write(data[: end + 2])
            self._pass_events(data[end + 2 :])
        else:
            self._state = WHOLE
            self._collect(data[end + 2 :])

    def _give_up(self, data: bytes) -> None:
        """Nothing can be restored: pass on what there is as it came, and all that follows."""
        client = self._client
        client.worker.cells[MODEL_NAMES_KEPT] += 1
        self._leave()
        client.transport.write(data)

    def _collect(self, data: bytes) -> None:
        self._raw.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self._give_up(b"".join((self._head, b"\r\n", *self._raw)))
            return
        if self._tracker is not None:
            if self._feed(data):
                self._finish(b"".join(self._tracker.payload))
        elif self._size == self._left:
            self._finish(b"".join(self._raw))

    def _finish(self, body: bytes) -> None:
        if b"text/event-stream" in self._head.lower():
            body = restored_events(body, self.name)
        else:
            body = restored(body, self.name)
        self._leave()
        self._client.transport.write(with_length(self._head, len(body)) + b"\r\n" + body)

    def _feed(self, data: bytes) -> bool:
        """Follow the chunks of the answer; whether it has ended. They were checked before they came here."""
        tracker = self._tracker
        assert tracker is not None
        return tracker.feed(tracker.tail + data if tracker.tail else data, 0) >= 0

    def _pass_events(self, data: bytes) -> None:
        tracker = self._tracker
        ended = False
        if tracker is not None:
            ended = self._feed(data)
            data, tracker.payload = b"".join(tracker.payload), []
        data = self._line + data
        whole = len(data)
        if not ended and whole <= LINE_BYTES_MAX:
            whole = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._line = data[whole:]
        out = restored_events(data[:whole], self.name)
        if tracker is not None:
            out = b"%x\r\n%b\r\n" % (len(out), out) if out else b""
            out += b"0\r\n\r\n" if ended else b""
        if ended:
            self._leave()
        if out:
            self._client.transport.write(out)


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:-1]]
    return {name: value.strip(b" \t") for name, _, value in lines}


def renamed(client: ClientConnection, held: Held, body: bytes | None, model: bytes) -> tuple[bytes, int]:
    """The request that a client sent, for servers that call its model `model`, and where its blank line is.

    As it came where it names no model, or where `body` is None: too large to be looked into. Otherwise its
    answer passes a `Restorer`.
    """
    changed = None if body is None else rename(held, body, model)
    if changed is None:
        client.worker.cells[MODEL_NAMES_KEPT] += body is None
        return held.message(), held.end
    Restorer(client, changed.name, client.worker.live.table.limits.inspect_bytes)
    return changed.data, changed.end
