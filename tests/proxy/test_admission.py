"""Tests of places and queues at an upstream, and of what is left out under overload."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxy import counters
from proxy.admission import degree, sheds
from proxy.outcomes import Outcome
from tests.helpers.dataplane import direct_table, route, table, worker
from tests.helpers.http import Message, ask, eventually, get, ok, read_request, upstream


def limited(ports: int, *, length: int, seconds: float) -> dict[str, Any]:
    """One place at an upstream that two arms share: /canary by override goes to the canary."""
    split = {"kind": "random", "arms": [0, 1], "weights": [1.0, 0.0]}
    override = {"header": "x-arm", "cookie": "", "values": {"v1": 0, "v2": 1}}
    made = table(
        {"v1": ports},
        [route("all", split, override=override)],
        arms=[("all", "v1", "stable", "v1"), ("all", "v2", "canary", "v1")],
    )
    made["upstreams"][0] |= {"concurrency": 1, "queue": {"length": length, "time": seconds}}
    return made


class Slow:
    """A model server that answers when it is told to, and knows how many it had at once."""

    def __init__(self) -> None:
        self.go = asyncio.Semaphore(0)
        self.paths: list[str] = []
        self.at_once = 0
        self.most = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while True:
            request = await read_request(reader)
            self.paths.append(request.start_line.split(" ")[1])
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            await self.go.acquire()
            self.at_once -= 1
            writer.write(ok())


async def test_stable_waits_before_canary_and_the_rest_is_told_to_come_again(tmp_path: Path) -> None:
    """One place, two in the queue: canary gives way to stable, and who finds no room gets 503 at once."""
    slow = Slow()
    async with upstream(slow) as server, worker(tmp_path, limited(server.port, length=2, seconds=30)) as w:
        asks: dict[str, asyncio.Task[Message]] = {}

        async def start(path: str, arm: str, waiting: int) -> None:
            asks[path] = asyncio.create_task(ask(w.port, get(path, extra=f"x-arm: {arm}\r\n")))
            await eventually(lambda: w.cells[counters.QUEUED] == waiting or asks[path].done())

        await start("/first", "v1", 0)
        await eventually(lambda: slow.paths == ["/first"])
        await start("/canary-1", "v2", 1)
        await start("/canary-2", "v2", 2)
        await start("/canary-3", "v2", 2)
        refused = await asks["/canary-3"]
        assert (refused.status, refused.get("retry-after")) == (503, "1")

        await start("/stable-1", "v1", 2)
        refused = await asks["/canary-2"]
        assert (refused.status, refused.get("x-headgate-error")) == (503, "overloaded")

        for number in range(3):
            slow.go.release()
            await eventually(lambda number=number: len(slow.paths) >= min(3, number + 2))  # type: ignore[misc]
        assert [(await asks[path]).status for path in ("/first", "/stable-1", "/canary-1")] == [200] * 3
        assert slow.paths == ["/first", "/stable-1", "/canary-1"]
        assert slow.most == 1


async def test_wait_is_bounded_and_charged_as_shed(tmp_path: Path) -> None:
    """After the queue's time the answer is 503; the model server has seen nothing and is not blamed."""
    slow = Slow()
    made = direct_table(0)
    async with upstream(slow) as server:
        made = direct_table(server.port)
        made["upstreams"][0] |= {"concurrency": 1, "queue": {"length": 5, "time": 0.2}}
        async with worker(tmp_path, made) as w:
            first = asyncio.create_task(ask(w.port, get("/first")))
            await eventually(lambda: slow.paths == ["/first"])
            waited = await ask(w.port, get("/second"))
            assert waited.status == 503
            slow.go.release()
            assert (await first).status == 200
            # The place is free again.
            slow.go.release()
            assert (await ask(w.port, get("/third"))).status == 200
            assert slow.paths == ["/first", "/third"]
            assert w.outcome(1, Outcome.SHED) == 1
            assert w.cell(1, counters.FAILED) == 0
            assert w.cell(1, counters.ATTEMPTS) == 2


async def test_client_that_leaves_the_queue_leaves_no_place_taken(tmp_path: Path) -> None:
    """Neither a waiting client nor one inside that goes away keeps others out."""
    slow = Slow()
    async with upstream(slow) as server:
        made = direct_table(server.port)
        made["upstreams"][0] |= {"concurrency": 1, "queue": {"length": 5, "time": 30}}
        async with worker(tmp_path, made) as w:
            tasks = [asyncio.create_task(ask(w.port, get(f"/{number}"))) for number in range(3)]
            await eventually(lambda: w.cells[counters.QUEUED] == 2)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await eventually(lambda: w.cells[counters.QUEUED] == 0 and w.in_flight(1) == 0)
            for _ in range(4):
                slow.go.release()
            assert (await ask(w.port, get("/last"))).status == 200
            assert w.outcome(1, Outcome.CLIENT_ABORT) == 3


@pytest.mark.parametrize(
    ("late", "before", "expected"),
    [
        (0.0, 0, 0),
        (0.1, 0, 0),
        (0.11, 0, 1),
        (0.21, 0, 2),
        (0.41, 0, 3),
        (9.0, 0, 3),
        (0.0, 3, 2),
        (0.0, 1, 0),
    ],
)
def test_overload_rises_at_once_and_falls_by_degrees(late: float, before: int, expected: int) -> None:
    """Each doubling of the lag is a degree."""
    assert degree(late, 0.1, before) == expected


def test_overload_can_be_off() -> None:
    """A limit of 0 is none."""
    assert degree(60.0, 0.0, 0) == 0


def test_shed_order() -> None:
    """Retries and shadows first, then canary, then everybody."""
    assert [(sheds(n, canary=True), sheds(n, canary=False)) for n in range(4)] == [
        (False, False),
        (False, False),
        (True, False),
        (True, True),
    ]
