"""A model server with every fault a path can ask for."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

EVENTS = 20
EVENT_SECONDS = 0.01
SLOW_SECONDS = 0.2
NEW_SECONDS = 30.0


class Model:
    """Answers by the first segment of the path, and counts what it read."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.port = 0

    async def start(self) -> asyncio.Server:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            # Idle connections are closed at any moment, as servers do; new ones are not.
            idle = NEW_SECONDS
            while await self._one(reader, writer, idle):
                idle = random.uniform(0.05, 2.0)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: float) -> bool:
        async with asyncio.timeout(idle):
            head = await reader.readuntil(b"\r\n\r\n")
        kind = head.split(b"/", 2)[1].split(b" ")[0].decode()
        self.seen[kind] += 1
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))
        if kind == "reset":
            writer.transport.abort()
            return False
        if kind == "stream":
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            for number in range(EVENTS):
                event = b'data: {"n": %d}\n\n' % number
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                await writer.drain()
                await asyncio.sleep(EVENT_SECONDS)
            writer.write(b"0\r\n\r\n")
            return True
        if kind == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            return False
        if kind == "garbage":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nno")
            return False
        if kind == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        body = b"x" * (200_000 if kind == "large" else 20)
        status = b"500 x" if kind == "fails" else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()
        return True
