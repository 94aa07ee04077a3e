"""A model server whose every byte the case decides, and that keeps every byte it reads."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from dataclasses import dataclass, field
from typing import cast

from tests.conformance.case import Close, ResponseCase

PROBE = re.compile(rb"GET /probe/([0-9]+) HTTP/1\.1\r\n").match
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE).search
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE).search
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE).search


@dataclass(slots=True)
class Seen:
    """What one connection brought of one request."""

    connection: int
    data: bytes
    whole: bool


@dataclass
class Script:
    """What is to be answered, and what was read."""

    case: ResponseCase | None = None
    seen: list[Seen] = field(default_factory=list)
    probes: dict[int, int] = field(default_factory=dict)
    """Number of a probe: the connection it came by."""
    lines: list[ModelConnection] = field(default_factory=list)
    connections: int = 0
    late: bytes = b""
    """Written before the answer to the next probe."""

    def everything(self) -> list[Seen]:
        """What was read since the last reset, unfinished requests included."""
        partial = [Seen(line.number, line.buffer, whole=False) for line in self.lines if line.buffer]
        return self.seen + partial

    def reset(self, case: ResponseCase | None = None) -> None:
        """Forget what was read; answer by `case` from now on."""
        self.case = case
        self.seen.clear()
        self.probes.clear()
        for line in self.lines:
            line.buffer = b""


class ModelConnection(asyncio.Protocol):
    """One connection from the proxy."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.buffer = b""
        self.number = 0
        self._replied = False
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.script.connections += 1
        self.number = self.script.connections
        self.script.lines.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.script.lines.remove(self)
        for task in self._tasks:
            task.cancel()
        if self.buffer:
            self.script.seen.append(Seen(self.number, self.buffer, whole=False))

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.buffer:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            case = self.script.case
            probe = PROBE(self.buffer)
            if case is not None and case.early and not self._replied and probe is None:
                self._replied = True
                self._reply(case)
            elif not self._replied and _EXPECTS(self.buffer, 0, head + 4) and len(self.buffer) == head + 4:
                self._replied = True
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            end = body_end(self.buffer, head + 4)
            if end < 0:
                return
            request, self.buffer = self.buffer[:end], self.buffer[end:]
            self._answer(request, case, probe)

    def _answer(self, request: bytes, case: ResponseCase | None, probe: re.Match[bytes] | None) -> None:
        if probe is not None:
            self.script.probes[int(probe[1])] = self.number
            late, self.script.late = self.script.late, b""
            self.transport.write(late)
            self._echo(request)
            return
        self.script.seen.append(Seen(self.number, request, whole=True))
        replied, self._replied = self._replied, False
        if case is None:
            self._echo(request)
        elif not (case.early and replied):
            self._reply(case)

    def _echo(self, request: bytes) -> None:
        body = request.partition(b"\r\n")[0]
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(answer if body.startswith(b"HEAD ") else answer + body)

    def _reply(self, case: ResponseCase) -> None:
        task = asyncio.get_running_loop().create_task(self._write(case))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, case: ResponseCase) -> None:
        for step in case.reply:
            if self.transport.is_closing():
                return
            if isinstance(step, bytes):
                self.transport.write(step)
            elif step is Close.ORDERLY:
                self.transport.close()
            elif step is Close.HALF:
                self.transport.write_eof()
            elif step is Close.RESET:
                raw = self.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            else:
                await asyncio.sleep(step)


def body_end(data: bytes, start: int) -> int:
    """The offset behind the body of the request whose body begins at `start`; -1 while it is incomplete."""
    length = _LENGTH(data, 0, start)
    if length is not None:
        end = start + int(length[1])
        return end if end <= len(data) else -1
    if _CHUNKED(data, 0, start) is None:
        return start
    while True:
        line = data.find(b"\r\n", start)
        if line < 0:
            return -1
        size = int(data[start:line].partition(b";")[0], 16)
        if size == 0:
            if data[line + 2 : line + 4] == b"\r\n":
                return line + 4
            end = data.find(b"\r\n\r\n", line)
            return end + 4 if end >= 0 else -1
        start = line + 2 + size + 2
        if start > len(data):
            return -1
