"""The answer of a service is read whole, in however many pieces it comes, and not without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from config.webhooks import GateWebhook
from control.webhooks.sender import DeliveryError, Sender


@asynccontextmanager
async def service(*pieces: bytes) -> AsyncIterator[str]:
    """A service that sends its answer in these pieces, each of them by itself; its URL."""

    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, rest = head.lower().partition(b"content-length:")
            await reader.readexactly(int(rest.split(b"\r\n")[0]))
            for piece in (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", *pieces):
                writer.write(piece)
                await writer.drain()
                # The reader is let have it before the next one follows.
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            over.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await over.wait()


async def post(url: str) -> bytes:
    sender = Sender()
    gate = GateWebhook(name="ci", url=url, timeout=60.0)
    try:
        return (await sender.post(gate, identifier="q-1", content_type="application/json", body=b"{}")).body
    finally:
        await sender.close()


async def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    """A large reason comes in several segments, and half of a JSON text is none."""
    async with service(b'{"answer": "appr', b'ove", "rea', b'son": "ok"}') as url:
        assert await post(url) == b'{"answer": "approve", "reason": "ok"}'


async def test_an_answer_without_end_is_refused_as_too_long() -> None:
    """Nobody's memory is filled, and it is said what was wrong with it."""
    async with service(b"x" * 65_536, b"x") as url:
        with pytest.raises(DeliveryError, match="the answer is longer than 64 KiB"):
            await post(url)
