"""A server of OpenAI-compatible streams, as slow, faulty and short of words as a test wants it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from tests.helpers.http import read_request

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How one answer is streamed; times in seconds. `fault` is "", "error" or "truncated"."""

    first_token: float = 0.02
    gap: float = 0.004
    tokens: int = 6
    fault: str = ""


def event(delta: Mapping[str, object], finish: str | None = None) -> bytes:
    """A chunk of a chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def events(manner: Manner) -> list[tuple[float, bytes]]:
    """What is sent, and how long is waited before it."""
    found = [(0.0, event({"role": "assistant", "content": ""}))]
    for number in range(manner.tokens):
        found.append((manner.gap if number else manner.first_token, event({"content": f"word{number} "})))
    match manner.fault:
        case "error":
            found[-1] = (manner.gap, b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n')
            found.append((0.0, DONE))
        case "truncated":
            found.pop()
        case _:
            found.append((0.0, event({}, "stop") + DONE))
    return found


class LlmServer:
    """Streams to every request at once; `manner(place, n)` says how a place's n-th answer goes."""

    def __init__(self, manner: Callable[[str, int], Manner] = lambda place, number: Manner()) -> None:
        self.manner = manner
        self.port = 0
        self._served: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                request = await read_request(reader)
                place = request.start_line.split(" ")[1].split("/")[1]
                number = self._served[place] = self._served.get(place, 0) + 1
                found = events(self.manner(place, number))
                # The head comes at once, as that of engines that queue prompts behind it does.
                length = sum(len(data) for _, data in found)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                    b"content-length: %d\r\n\r\n" % length
                )
                for seconds, data in found:
                    if seconds:
                        await asyncio.sleep(seconds)
                    writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def llm_servers(*names: str) -> AsyncIterator[dict[str, LlmServer]]:
    """Servers by name, in this event loop."""
    servers = {name: LlmServer() for name in names}
    async with contextlib.AsyncExitStack() as running:
        for server in servers.values():
            listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
            await running.enter_async_context(listening)
            server.port = listening.sockets[0].getsockname()[1]
        yield servers
