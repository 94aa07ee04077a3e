"""A raw HTTP/1.1 client and a scripted model server: bytes in, bytes out, nothing assumed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUT = 60.0


@dataclass
class Message:
    """One request or response as it was read."""

    start_line: str
    fields: list[tuple[str, str]]
    body: bytes
    raw_head: bytes
    trailers: bytes = b""

    @property
    def status(self) -> int:
        """Status code of a response."""
        return int(self.start_line.split(" ")[1])

    def get(self, name: str) -> str | None:
        """Return the only value of a field, None without it."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        return [value for key, value in self.fields if key == name.lower()]


async def read_head(reader: asyncio.StreamReader) -> Message:
    """Read one head up to its blank line."""
    raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT)
    lines = raw.decode("latin-1").split("\r\n")
    fields = []
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        fields.append((name.lower(), value.strip()))
    return Message(lines[0], fields, b"", raw)


async def read_chunked(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read a chunked body; return its content and its trailer section."""
    content = b""
    while True:
        size = int((await asyncio.wait_for(reader.readuntil(b"\r\n"), TIMEOUT)).split(b";")[0], 16)
        if size == 0:
            trailers = b""
            while (line := await asyncio.wait_for(reader.readuntil(b"\r\n"), TIMEOUT)) != b"\r\n":
                trailers += line
            return content, trailers
        content += await asyncio.wait_for(reader.readexactly(size), TIMEOUT)
        assert await reader.readexactly(2) == b"\r\n"


async def read_request(reader: asyncio.StreamReader) -> Message:
    """Read one request, body included."""
    message = await read_head(reader)
    if message.get("transfer-encoding") == "chunked":
        message.body, message.trailers = await read_chunked(reader)
    elif (length := message.get("content-length")) is not None:
        message.body = await asyncio.wait_for(reader.readexactly(int(length)), TIMEOUT)
    return message


async def read_response(reader: asyncio.StreamReader, *, to_head: bool = False) -> Message:
    """Read one response, body included; a close-delimited body is read to the end."""
    message = await read_head(reader)
    if to_head or message.status < 200 or message.status in (204, 304):
        return message
    if message.get("transfer-encoding") == "chunked":
        message.body, message.trailers = await read_chunked(reader)
    elif (length := message.get("content-length")) is not None:
        message.body = await asyncio.wait_for(reader.readexactly(int(length)), TIMEOUT)
    else:
        message.body = await asyncio.wait_for(reader.read(-1), TIMEOUT)
    return message


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a local port, and close in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(port: int, request: bytes, *, to_head: bool = False) -> Message:
    """Send one request on a connection of its own and read the final response."""
    async with connected(port) as (reader, writer):
        writer.write(request)
        message = await read_response(reader, to_head=to_head)
        while message.status < 200:
            message = await read_response(reader, to_head=to_head)
        return message


def get(path: str = "/", *, host: str = "test", extra: str = "") -> bytes:
    """Return a GET request as bytes; ``extra`` are whole header lines."""
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{extra}\r\n".encode()


def post(body: bytes, path: str = "/", *, extra: str = "") -> bytes:
    """Return a POST request as bytes."""
    return f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


def ok(body: bytes = b"ok", extra: str = "") -> bytes:
    """Return a 200 response as bytes."""
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


@dataclass
class ScriptedUpstream:
    """A model server whose every byte the test decides."""

    port: int
    requests: list[Message] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    aborted: int = 0


@contextlib.asynccontextmanager
async def upstream(
    handler: Handler, *, context: ssl.SSLContext | None = None, path: Path | None = None
) -> AsyncIterator[ScriptedUpstream]:
    """Run ``handler`` for every connection on a free local port, or a Unix socket at ``path``."""
    state = ScriptedUpstream(0)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        state.connections += 1
        state.open += 1
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            state.aborted += 1
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            state.open -= 1
            writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass
        except asyncio.CancelledError:
            # An end of TLS that the other side does not answer. What is left open would be a warning
            # in whichever test comes next.
            writer.transport.abort()
        finally:
            tasks.discard(task)

    if path is None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20, ssl=context)
        state.port = server.sockets[0].getsockname()[1]
    else:
        server = await asyncio.start_unix_server(serve, path, limit=1 << 20, ssl=context)
    try:
        yield state
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2)
        # A transport that was aborted calls back in the next turn of the loop, one of TLS in the one after.
        for _ in range(3):
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def answering(
    respond: Callable[[Message], bytes] = lambda request: ok(), *, context: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedUpstream]:
    """Run a model server that reads whole requests and answers each with ``respond``; it keeps a record."""
    holder: list[ScriptedUpstream] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            holder[0].requests.append(request)
            writer.write(respond(request))
            await writer.drain()

    async with upstream(handler, context=context) as state:
        holder.append(state)
        yield state


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A local port that is taken, so that nobody else gets it, and that refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail when it does not within the time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "condition did not come true in time"
        await asyncio.sleep(0.01)
