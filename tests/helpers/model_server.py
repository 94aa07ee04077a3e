"""A model server that remembers whom it served: small, exact, and as bad as a test wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

HEAD_BYTES_MAX = 65_536
BLOCK = b"\0" * 262_144


class ModelServer:
    """Answers every request at once. `fails(place, n)` says whether a place's n-th request gets a 500."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.fails: Callable[[str, int], bool] = lambda place, number: False
        self.seconds = 0.0
        self.delays: dict[str, Callable[[int], float]] = {}
        """By place: seconds that its n-th answer takes, on top of `seconds`."""
        self.beat_seconds = 1.0
        self.served: Counter[str] = Counter()
        """Requests by the first part of their path."""
        self.failed: Counter[str] = Counter()
        self.bytes_received = 0
        self.streams: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def total(self) -> int:
        """All requests."""
        return self.served.total()

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=2048
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.transport.abort()
        self._server = None

    def answer(self, place: str) -> bytes:
        """Count a request and return its answer."""
        self.served[place] += 1
        if self.fails(place, self.served[place]):
            self.failed[place] += 1
            return b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops"
        body = self.name.encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class _Connection(asyncio.Protocol):
    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._buffer = b""
        self._body_left = 0
        self._place = ""
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server._connections.add(self)
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._connections.discard(self)
        self._server.streams.discard(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._server.bytes_received += len(data)
        if self._body_left:
            taken = min(self._body_left, len(data))
            self._body_left -= taken
            data = data[taken:]
            if not self._body_left:
                self._respond()
        if not data:
            return
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, self._buffer = self._buffer[:end].decode("latin-1"), self._buffer[end + 4 :]
            lines = head.split("\r\n")
            self._place = lines[0].split(" ")[1]
            length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
            taken = min(length, len(self._buffer))
            self._buffer, self._body_left = self._buffer[taken:], length - taken
            if not self._body_left:
                self._respond()
        assert len(self._buffer) < HEAD_BYTES_MAX

    def _respond(self) -> None:
        path, _, query = self._place.partition("?")
        place = path.split("/")[1]
        if place == "events":
            self._server.served[place] += 1
            self._task = asyncio.get_running_loop().create_task(self._stream())
        elif place == "download":
            self._server.served[place] += 1
            self._task = asyncio.get_running_loop().create_task(self._download(int(query)))
        else:
            answer = self._server.answer(place)
            delay = self._server.delays.get(place)
            seconds = self._server.seconds + (delay(self._server.served[place]) if delay else 0.0)
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._write, answer)
            else:
                self.transport.write(answer)

    def _write(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)

    async def _stream(self) -> None:
        """Numbered events, until told to end by the server or the connection."""
        self._server.streams.add(self)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        number = 0
        while True:
            event = b"data: %d\n\n" % number
            self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            number += 1
            await asyncio.sleep(self._server.beat_seconds)

    async def _download(self, size: int) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while size:
            await self._writable.wait()
            block = BLOCK[: min(size, len(BLOCK))]
            self.transport.write(block)
            size -= len(block)
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def model_servers(*names: str) -> AsyncIterator[dict[str, ModelServer]]:
    """Model servers by name, in this event loop."""
    servers = {name: ModelServer(name) for name in names}
    try:
        for server in servers.values():
            await server.start()
        yield servers
    finally:
        for server in servers.values():
            await server.stop()
        # One turn, so that every connection hears of its end.
        await asyncio.sleep(0)


def upstreams(servers: dict[str, ModelServer], **more: Any) -> dict[str, Any]:
    """The configuration's upstreams for these servers."""
    return {
        name: {"endpoints": [server.url], "release": f"model:{name}", **more}
        for name, server in servers.items()
    }
