"""A shadow that misbehaves: `python bad.py PORT slow|hung|resetting`."""

import asyncio
import socket
import struct
import sys
from typing import cast

SLOW_SECONDS = 1.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Bad(asyncio.Protocol):
    """One connection of a proxy that copies; a copy comes in one piece or two, and is not looked into."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.answering = False

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
        elif not self.answering:
            self.answering = True
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self.answer)

    def answer(self) -> None:
        """Answer late."""
        self.answering = False
        self.transport.write(ANSWER)


async def main(port: int, kind: str) -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Bad(kind), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
