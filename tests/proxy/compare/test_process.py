"""The comparing process, fed by a real worker, by bytes out of step, and killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from proxy.shadow.cells import Unpaired
from proxy.shadow.feed import FEED_BYTES_MAX
from tests.helpers.dataplane import worker
from tests.helpers.http import Message, answering, connected, eventually, ok, post, read_response
from tests.helpers.shadows import ShadowCounts, shadowed

COMPARE = {"share": 1.0, "capture": 4096, "rules": {}}


class Comparer:
    """The process, and the last thing it said about each comparison."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: dict[str, dict[str, Any]] = {}
        self.unreadable = 0

    async def listen(self) -> None:
        """Read its reports to the end."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            value = json.loads(line)
            self.unreadable = value["unreadable"]
            for entry in value["comparisons"]:
                self.said["/".join(entry["key"][:3])] = entry

    def of(self, name: str) -> dict[str, Any]:
        """What it said of one comparison."""
        return self.said.get(name, {"compared": 0, "agreed": 0})


@contextlib.asynccontextmanager
async def comparer(path: Path) -> AsyncIterator[Comparer]:
    """Run the process on a socket."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy.compare.process",
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    running = Comparer(process)
    listening = asyncio.create_task(running.listen())
    try:
        await eventually(path.exists)
        yield running
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
        await asyncio.wait_for(process.wait(), 60)
    finally:
        # Also one that a test has stopped and did not come to wake.
        if process.returncode is None:
            process.kill()
            await process.wait()
        await listening


def primary(request: Message) -> bytes:
    """Answers what it was asked."""
    return ok(request.body, "content-type: application/json\r\n")


def shadow(request: Message) -> bytes:
    """Answers the same, except to those who ask for 13, and with an id of its own."""
    asked = json.loads(request.body)
    answer = asked | {"id": "other", "y": 0 if asked["y"] == 13 else asked["y"]}
    return ok(json.dumps(answer).encode(), "content-type: application/json\r\n")


async def ask(port: int, answers: list[int]) -> None:
    """Ask for each of these, one after the other."""
    async with connected(port) as (reader, writer):
        for y in answers:
            writer.write(post(json.dumps({"id": "i", "y": y}).encode()))
            assert (await read_response(reader)).status == 200


async def test_pairs_of_a_worker_are_compared(tmp_path: Path) -> None:
    """Each pair handed over is compared once, and the one that differs is found."""
    socket = tmp_path / "c.sock"
    async with answering(primary) as one, answering(shadow) as two, comparer(socket) as found:
        content = shadowed(one.port, two.port, compare=COMPARE)
        async with worker(tmp_path, content, compare=str(socket)) as w:
            counts = ShadowCounts(w)
            warm = 0
            # Pairs from before the line is there are dropped and counted.
            while counts.paired == 0 and warm < 1000:
                await ask(w.port, [1])
                await asyncio.sleep(0.05)
                warm += 1
            await ask(w.port, [*range(20), 13])
            await eventually(
                lambda: counts.settled and found.of("all/v2/shadow")["compared"] == counts.paired
            )

            counts.check()
            result = found.of("all/v2/shadow")
            assert result["compared"] - result["agreed"] == 2
            assert result["paths"] == [["/y", "number", 2]]
            assert result["samples"][0]["differences"] == [{"path": "/y", "kind": "number"}]
            assert len(result["samples"][0]["request_id"]) == 32
            assert sum(count for _, count in result["ratio"]) == result["compared"]


async def test_what_cannot_be_compared_is_counted_with_its_reason(tmp_path: Path) -> None:
    """An answer above the capture, a failing shadow, and no comparing process at all."""
    async with (
        answering(lambda r: ok(b"x" * 10_000)) as one,
        answering() as two,
        worker(tmp_path, shadowed(one.port, two.port, compare=COMPARE), compare="/nowhere") as w,
    ):
        await ask(w.port, [1])
        counts = ShadowCounts(w)
        await eventually(lambda: counts.settled and counts.unpaired(Unpaired.TOO_LARGE) == 1)
        counts.check()
    async with (
        answering(primary) as one,
        answering(primary) as two,
        worker(tmp_path, shadowed(one.port, two.port, compare=COMPARE), compare="/nowhere") as w,
    ):
        await ask(w.port, [1])
        counts = ShadowCounts(w)
        await eventually(lambda: counts.settled and counts.unpaired(Unpaired.COMPARER) == 1)
        counts.check()


async def test_a_comparer_that_stands_still_costs_the_worker_a_bounded_queue(tmp_path: Path) -> None:
    """Beyond the queue pairs are dropped and counted; what was queued is compared once it goes on."""
    socket = tmp_path / "c.sock"
    text = b"x" * 200_000
    async with (
        answering(lambda r: ok(text)) as one,
        answering(lambda r: ok(text)) as two,
        comparer(socket) as found,
    ):
        content = shadowed(one.port, two.port, compare=COMPARE | {"capture": 262144})
        async with worker(tmp_path, content, compare=str(socket)) as w:
            counts = ShadowCounts(w)
            async with asyncio.timeout(60):
                while not counts.paired:
                    await ask(w.port, [1])
            found.process.send_signal(signal.SIGSTOP)
            before, dropped = counts.paired, counts.unpaired(Unpaired.COMPARER)
            async with asyncio.timeout(60):
                while counts.unpaired(Unpaired.COMPARER) < dropped + 20:
                    await ask(w.port, [1])

            # The queue, a batch that is gathered, and what the kernel and the process take at once.
            assert (counts.paired - before) * 400_000 < FEED_BYTES_MAX + 2 * 1024 * 1024
            found.process.send_signal(signal.SIGCONT)
            await eventually(lambda: found.of("all/v2/shadow")["compared"] == counts.paired)
            async with asyncio.timeout(60):
                again = counts.paired
                while counts.paired == again:
                    await ask(w.port, [1])
            await eventually(lambda: counts.settled)
            counts.check()


async def test_a_line_out_of_step_is_given_up_and_others_go_on(tmp_path: Path) -> None:
    """Whatever comes over the socket, the process lives."""
    socket = tmp_path / "c.sock"
    async with comparer(socket) as found:
        for junk in (
            b"\xff" * 64,
            b"\x05\x00\x00\x00\x02abcd",
            b"\x01\x00\x00\x00\x09",
            b"\x05\x00\x00\x00\x01\0\0\0\0",
        ):
            _, writer = await asyncio.open_unix_connection(str(socket))
            writer.write(junk)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        async with answering(primary) as one, answering(primary) as two:
            content = shadowed(one.port, two.port, compare=COMPARE)
            async with worker(tmp_path, content, compare=str(socket)) as w:

                async def until() -> None:
                    while not found.of("all/v2/shadow")["compared"]:
                        await ask(w.port, [1])
                        await asyncio.sleep(0.05)

                await asyncio.wait_for(until(), 60)
        await eventually(lambda: found.unreadable == 4)
