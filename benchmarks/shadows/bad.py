"""A shadow that misbehaves: `python bad.py PORT slow|hung|stalling|resetting|garbage|endless`."""

import asyncio
import os
import socket
import struct
import sys
from typing import cast

SLOW_SECONDS = 1.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
GARBAGE = b"\x00\xff\r\n\r\nSSH-2.0-OpenSSH\r\n\r\n"
ENDLESS_BYTES = 200_000_000
BLOCK = bytes(256 * 1024)
CHUNK = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)


class Bad(asyncio.Protocol):
    """One connection of a proxy that copies; a copy comes in one piece or two, and is not looked into."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.answering = False
        self.left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.kind == "hung":
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        del data
        if self.kind == "resetting":
            own: socket.socket = self.transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif self.kind == "garbage":
            self.transport.write(GARBAGE)
        elif not self.answering:
            self.answering = True
            if self.kind == "slow":
                asyncio.get_running_loop().call_later(SLOW_SECONDS, self.answer)
            elif self.kind == "stalling":
                self.transport.write(HALF)
            elif self.kind == "endless":
                self.left = ENDLESS_BYTES
                self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                self.resume_writing()

    def answer(self) -> None:
        """Answer late."""
        self.answering = False
        self.transport.write(ANSWER)

    def pause_writing(self) -> None:
        self.answering = False

    def resume_writing(self) -> None:
        """Write until the other side takes no more."""
        self.answering = True
        while self.answering and self.left > 0 and not self.transport.is_closing():
            self.left -= len(BLOCK)
            self.transport.write(CHUNK)


async def main(port: int, kind: str) -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Bad(kind), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    # A shadow has a machine of its own; here it must not take the load source's time.
    os.nice(19)
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
