"""Whatever a shadow does: the primary's answers stay as they are, and the worker's memory within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.outcomes import Outcome
from proxy.shadow.cells import Skip
from tests.helpers.dataplane import direct_table, worker
from tests.helpers.http import (
    Handler,
    Message,
    answering,
    ask,
    connected,
    eventually,
    ok,
    post,
    read_request,
    read_response,
    refusing,
    upstream,
)
from tests.helpers.shadows import (
    ShadowCounts,
    delayed,
    enormous,
    garbage,
    hung,
    hung_in_answer,
    resetting,
    seen,
    shadowed,
    shadowed_by,
)

MIB = 1024 * 1024
Seen = tuple[int, bytes, list[tuple[str, str]]]
BAD: dict[str, tuple[Handler, Outcome]] = {
    "slow": (delayed(1.0), Outcome.OK),
    "hung-after-accept": (hung, Outcome.TIMEOUT_TOTAL),
    "hung-in-its-answer": (hung_in_answer, Outcome.TIMEOUT_TOTAL),
    "resetting": (resetting, Outcome.RESET),
    "garbage": (garbage, Outcome.INVALID_RESPONSE),
    "20MB": (enormous(20_000_000), Outcome.SHED),
}


def scripted(request: Message) -> bytes:
    """The primary: every kind of answer a client can get."""
    path = request.start_line.split(" ")[1]
    if path == "/chunked":
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n"
    if path == "/missing":
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nx-why: gone\r\n\r\nnone"
    if path == "/large":
        return ok(b"y" * 300_000)
    return ok(request.body[::-1], "x-model: m\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n")


def requests() -> list[bytes]:
    """One of each."""
    chunked = b"POST /c HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    return [
        post(b"{}"),
        post(b"z" * 200_000, "/big"),
        chunked,
        post(b"1", "/chunked"),
        post(b"2", "/missing"),
        post(b"3", "/large"),
    ]


async def answers(port: int) -> list[Seen]:
    """What a client sees on one kept connection."""
    found = []
    async with connected(port) as (reader, writer):
        for request in requests():
            writer.write(request)
            found.append(seen(await read_response(reader)))
    return found


@pytest.fixture
async def expected() -> AsyncIterator[tuple[int, list[Seen]]]:
    """The port of a primary, and what its clients see through a worker without shadows."""
    async with answering(scripted) as primary:
        with tempfile.TemporaryDirectory() as folder:
            async with worker(Path(folder), direct_table(primary.port)) as plain:
                found = await answers(plain.port)
        yield primary.port, found


async def test_primary_is_identical_whatever_the_shadows_do(
    tmp_path: Path, expected: tuple[int, list[Seen]]
) -> None:
    """Status, bytes and fields, with a shadow of every kind at once; each copy's end has its name."""
    port, plain = expected
    async with contextlib.AsyncExitStack() as stack:
        ports = {
            name: (await stack.enter_async_context(upstream(bad))).port for name, (bad, _) in BAD.items()
        }
        ports["healthy"] = (await stack.enter_async_context(answering(scripted))).port
        ports["refusing"] = stack.enter_context(refusing())
        content = shadowed_by({"v1": port}, ports, deadline=2.0, answer=4 * MIB)
        w = await stack.enter_async_context(worker(tmp_path, content))

        for _ in range(3):
            assert await answers(w.port) == plain

        counts = {name: ShadowCounts(w, slot) for slot, name in enumerate(ports, start=2)}
        await eventually(lambda: all(one.settled for one in counts.values()))
        for name, one in counts.items():
            one.check()
            assert one.mirrored >= (1 if name == "refusing" else 6), name
        for name, (_, end) in BAD.items():
            assert counts[name].outcome(end) == counts[name].mirrored, name
        assert counts["refusing"].outcome(Outcome.CONNECT_FAILED) == counts["refusing"].mirrored
        assert counts["healthy"].outcome(Outcome.UPSTREAM_4XX) == 3
        assert counts["healthy"].outcome(Outcome.OK) == counts["healthy"].mirrored - 3 == 15


@pytest.mark.slow
async def test_an_answer_of_200_mb_costs_its_limit_and_no_more(tmp_path: Path) -> None:
    """The copy is cut off at the limit of answers, and the worker's memory does not show it."""
    async with (
        answering() as primary,
        upstream(enormous(200_000_000)) as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port, answer=16 * MIB)) as w,
    ):
        before = w.rss()
        for _ in range(10):
            assert (await ask(w.port, post(b"{}"))).status == 200

        counts = ShadowCounts(w)
        await eventually(lambda: counts.settled, 60)
        assert counts.outcome(Outcome.SHED) == 10
        assert w.rss() - before < 24 * MIB


async def test_what_nobody_compares_is_read_at_a_pace(tmp_path: Path) -> None:
    """Answers without an end or a length do not take the worker's time until their deadline."""
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        block = bytes(65536)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(block)
                await writer.drain()
                sent += len(block)

    # Not by TCP, where the kernel takes tens of megabytes from a connection whether they are read or not.
    path = tmp_path / "shadow.sock"
    async with answering() as primary, upstream(endless, path=path), contextlib.AsyncExitStack() as stack:
        content = shadowed(primary.port, 0, answer=1024 * MIB, deadline=2.0)
        content["upstreams"][1]["endpoints"][0]["url"] = f"unix:{path}"
        w = await stack.enter_async_context(worker(tmp_path, content))
        started = asyncio.get_running_loop().time()
        for _ in range(4):
            assert (await ask(w.port, post(b"{}"))).status == 200

        counts = ShadowCounts(w)
        await eventually(lambda: counts.settled)
        assert counts.outcome(Outcome.TIMEOUT_TOTAL) == 4
        # Ten times a second a megabyte, and of each of four connections the 256 KiB with which it has passed
        # that; and what is in their buffers, in the kernel and the server.
        seconds = asyncio.get_running_loop().time() - started
        assert 4 * MIB < sent < (24 * seconds + 4 * 2) * MIB


async def test_an_answer_announced_above_the_limit_is_not_read(tmp_path: Path) -> None:
    """Its length is enough; after twenty of them the shadow is left alone for a while."""
    async with (
        answering() as primary,
        upstream(enormous(200_000_000)) as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port, in_flight=1)) as w,
    ):
        counts = ShadowCounts(w)
        async with asyncio.timeout(60):
            while not counts.skips(Skip.UNREACHABLE):
                assert (await ask(w.port, post(b"{}"))).status == 200
        await eventually(lambda: counts.settled)
        counts.check()
        assert counts.outcome(Outcome.SHED) == counts.mirrored >= 20


async def press(port: int, body: bytes, count: int, clients: int) -> int:
    """Send `count` requests over `clients` connections; return how many were answered 200."""
    request = post(body)
    left = count
    good = 0

    async def client() -> None:
        nonlocal left, good
        async with connected(port) as (reader, writer):
            while left > 0:
                left -= 1
                writer.write(request)
                answer = await read_response(reader)
                good += answer.status == 200

    await asyncio.gather(*(client() for _ in range(clients)))
    return good


async def drain_and_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A primary that reads everything and remembers nothing."""
    while True:
        await read_request(reader)
        writer.write(ok())
        await writer.drain()


async def memory_stays_within(tmp_path: Path, budget: int, count: int, size: int) -> None:
    """Press a hung shadow with `count` bodies of `size` bytes, several times its budget."""
    async with upstream(drain_and_answer) as primary, upstream(hung) as shadow:
        spec = shadowed(
            primary.port, shadow.port, memory=budget, in_flight=100_000, deadline=600.0, body=16 * MIB
        )
        async with worker(tmp_path, spec) as w:
            await press(w.port, b"x" * size, 8, 8)
            before = w.rss()
            assert await press(w.port, b"x" * size, count, 8) == count

            counts = ShadowCounts(w)
            held = counts.mirrored * size
            assert budget - size * 8 - 65536 <= held <= budget
            assert counts.skips(Skip.MEMORY) == count + 8 - counts.mirrored
            # Besides the budget: the connections themselves, and what the allocator keeps for the next read.
            assert w.rss() - before < budget * 1.25 + 16 * MIB


async def test_memory_of_a_hung_shadow_is_bounded(tmp_path: Path) -> None:
    """A shadow that reads nothing holds its budget, and the rest is skipped and counted."""
    await memory_stays_within(tmp_path, 10 * MIB, 160, 256 * 1024)


@pytest.mark.slow
async def test_memory_of_64_hung_shadows_worth_of_traffic_is_bounded(tmp_path: Path) -> None:
    """64 times the budget of 50 MB is offered: 3.2 GB in bodies of a megabyte."""
    await memory_stays_within(tmp_path, 50 * MIB, 3200, MIB)


async def test_a_late_loop_stops_copies_for_a_while(tmp_path: Path) -> None:
    """When the worker is stopped for longer than the limit, shadows are shed first, and come back."""
    async with answering() as primary, answering() as shadow:
        async with worker(tmp_path, shadowed(primary.port, shadow.port, lag=0.3)) as w:
            counts = ShadowCounts(w)

            async def until(reached: int) -> None:
                while counts.skips(Skip.LAG) < reached:
                    os.kill(w.pid, signal.SIGSTOP)
                    await asyncio.sleep(0.6)
                    os.kill(w.pid, signal.SIGCONT)
                    await asyncio.sleep(0.15)
                    assert (await ask(w.port, post(b"{}"))).status == 200

            await asyncio.wait_for(until(1), 60)

            async def again() -> None:
                copied = counts.mirrored
                while counts.mirrored == copied:
                    await ask(w.port, post(b"{}"))
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(again(), 60)
            await eventually(lambda: counts.settled)
            counts.check()
