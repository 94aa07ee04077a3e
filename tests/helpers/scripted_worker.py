"""A worker that does what a test tells it over its listener: counts, hangs, dies. Speaks the real link.

One command a line, answered by one line of JSON. `HEADGATE_SCRIPT` in the environment chooses how it starts:
`fail` (says why and exits 2), `die` (exits 7 without a word), `refuse=N` (cannot use table N).
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from typing import Any

from proxy.counters import REVISION, CounterPage
from proxy.link import LINK_FD_VARIABLE, Message, WorkerLink
from proxy.outcomes import parse_outcome
from tests.helpers.pages import begin, count, end

SCRIPT = os.environ.get("HEADGATE_SCRIPT", "")
ORPHAN_SECONDS = 20.0


class ScriptedWorker:
    """The state of one worker."""

    def __init__(self, fd: int) -> None:
        others = dict.fromkeys(("cover", "certificates", "health"), self.on_other)
        self.link = WorkerLink(fd, self.on_table, self.on_drain, self.on_lost, others)
        self.start = self.link.read_start()
        if SCRIPT == "fail":
            self.link.failed("worker cannot start: the script says so")
            sys.exit(2)
        if SCRIPT == "die":
            sys.exit(7)
        self.page = CounterPage.open_for_writing(self.start.page)
        self.servers: list[asyncio.Server] = []
        self.open_requests = 0
        self.connections = 0
        self.draining = False
        self.done = asyncio.Event()
        self.table: Message = {}
        self.use(self.start.table)

    def use(self, table: Message) -> None:
        self.table = table
        self.page.cells[REVISION] = table["revision"]

    def slot(self, variant: str) -> int:
        return int(next(arm["slot"] for arm in self.table["arms"] if arm["variant"] == variant))

    def on_table(self, table: Message) -> None:
        if f"refuse={table['revision']}" == SCRIPT:
            self.link.failed(f"table refused: {table['revision']} is not to the script's liking")
            return
        self.use(table)
        self.link.ack(table["revision"])

    def on_other(self, message: Message) -> None:
        """What concerns the real worker's sockets; this one has its own."""

    def on_drain(self) -> None:
        # A turn later: what the kernel has accepted for us already is ours to answer.
        asyncio.get_running_loop().call_later(0.05, self.close_servers)

    def close_servers(self) -> None:
        self.draining = True
        for server in self.servers:
            server.close()
        # asyncio serves a connection a few turns after it accepted it: only then does it count as one.
        asyncio.get_running_loop().call_later(0.05, self.drained_one)

    def drained_one(self) -> None:
        if self.draining and not self.open_requests and not self.connections:
            self.done.set()

    def on_lost(self) -> None:
        asyncio.get_running_loop().call_later(ORPHAN_SECONDS, self.done.set)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        addresses = []
        for listen in self.start.listeners:
            server = await asyncio.start_server(self.serve, listen.host, listen.port, reuse_port=True)
            self.servers.append(server)
            name = server.sockets[0].getsockname()
            addresses.append((name[0], name[1]))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.on_drain)
        await self.link.connect()
        self.link.ack(self.table["revision"])
        self.link.ready(addresses)
        self.link.endpoints([["v1", "127.0.0.1:1", 0, 0, 0, 0, 0, 0]])
        while not self.done.is_set():
            self.page.beat(time.monotonic_ns(), 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self.done.wait()
        self.link.drained()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                command, *arguments = line.decode().split()
                answer = self.obey(command, arguments)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()
        self.connections -= 1
        self.drained_one()

    def obey(self, command: str, arguments: list[str]) -> dict[str, Any]:
        cells = self.page.cells
        match command, arguments:
            case "count", [variant, number, *outcome]:
                count(cells, self.slot(variant), int(number), parse_outcome((outcome or ["ok"])[0]))
            case "begin", [variant]:
                begin(cells, self.slot(variant))
                self.open_requests += 1
            case "end", [slot]:
                end(cells, int(slot))
                self.open_requests -= 1
                self.drained_one()
            case "stall", []:
                time.sleep(600)
            case "deaf", []:
                self.link.close()
            case "exit", [code]:
                os._exit(int(code))
        return {
            "pid": os.getpid(),
            "index": self.start.index,
            "boot": self.start.boot,
            "revision": self.table["revision"],
            "slots": {arm["variant"]: self.slot(arm["variant"]) for arm in self.table["arms"]},
        }


async def main() -> None:
    """Run one worker."""
    await ScriptedWorker(int(os.environ[LINK_FD_VARIABLE])).run()


if __name__ == "__main__":
    asyncio.run(main())
