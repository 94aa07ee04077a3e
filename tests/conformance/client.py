"""A client that writes bytes as they are and cuts what comes into responses, trusting nobody."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.conformance.case import GAP_SECONDS, End

# Generous: it ends a test that has failed, and is never waited for otherwise.
DEADLINE_SECONDS = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE).search
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: its head with the blank line, and its body as it came."""

    status: int
    head: bytes
    body: bytes


@dataclass(slots=True)
class Conversation:
    """What came back by one connection."""

    data: bytes
    end: End
    answers: list[Answer]
    informational: list[Answer]


class Line:
    """One connection to a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.data = b""
        self.end = End.STAYS

    @staticmethod
    async def open(port: int) -> Line:
        """Connect to a local port."""
        return Line(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, pieces: Sequence[bytes]) -> None:
        """Write the pieces with a gap between them; a proxy that has closed is not written to.

        What comes meanwhile is read: a byte that is written behind the end of a connection resets it, and
        with that goes what nobody has read.
        """
        for number, piece in enumerate(pieces):
            if number:
                await self._read_for(GAP_SECONDS)
            if self.end != End.STAYS:
                return
            self._writer.write(piece)
            try:
                await self._writer.drain()
            except ConnectionError:
                return

    async def read_more(self, seconds: float) -> bool:
        """Wait for something to come, or for the end; False when neither does."""
        try:
            piece = await asyncio.wait_for(self._reader.read(65536), seconds)
        except TimeoutError:
            return False
        except ConnectionError:
            self.end = End.RESETS
            return True
        if piece:
            self.data += piece
        else:
            self.end = End.CLOSES
        return True

    async def _read_for(self, seconds: float) -> None:
        """Read what comes in so much time, or until the end."""
        until = asyncio.get_running_loop().time() + seconds
        while self.end == End.STAYS and (left := until - asyncio.get_running_loop().time()) > 0:
            await self.read_more(left)

    async def read_answers(self, count: int, heads: Sequence[int], seconds: float = DEADLINE_SECONDS) -> None:
        """Read until so many final answers are whole, the end, or a silence."""
        while self.end == End.STAYS and len(cut(self.data, heads, ended=False)[0]) < count:
            if not await self.read_more(seconds):
                return

    async def read_to_end(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Read until the connection ends, or for as long as nothing comes."""
        while self.end == End.STAYS and await self.read_more(seconds):
            pass

    def conversation(self, heads: Sequence[int]) -> Conversation:
        """What has come so far."""
        answers, informational = cut(self.data, heads, ended=self.end == End.CLOSES)
        return Conversation(self.data, self.end, answers, informational)

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def cut(data: bytes, heads: Sequence[int], *, ended: bool) -> tuple[list[Answer], list[Answer]]:
    """The whole responses in `data`, final ones and informational ones."""
    final: list[Answer] = []
    informational: list[Answer] = []
    start = 0
    while True:
        blank = data.find(b"\r\n\r\n", start)
        if blank < 0:
            return final, informational
        head = data[start : blank + 4]
        status = int(head[9:12]) if head[9:12].isdigit() else 0
        body = blank + 4
        if 100 <= status < 200 and status != 101:
            informational.append(Answer(status, head, b""))
            start = body
            continue
        end = _end(data, head, body, empty=len(final) in heads or status in (204, 304), ended=ended)
        if end < 0:
            return final, informational
        final.append(Answer(status, head, data[body:end]))
        start = end


def _end(data: bytes, head: bytes, body: int, *, empty: bool, ended: bool) -> int:
    if empty:
        return body
    length = _LENGTH(head)
    if length is not None:
        end = body + int(length[1])
        return end if end <= len(data) else -1
    if _CHUNKED(head) is None:
        return len(data) if ended else -1
    while True:
        line = data.find(b"\r\n", body)
        if line < 0:
            return -1
        size = int(data[body:line].partition(b";")[0], 16)
        if size == 0:
            end = data.find(b"\r\n\r\n", line)
            return end + 4 if end >= 0 else -1
        body = line + 2 + size + 2
        if body > len(data):
            return -1
