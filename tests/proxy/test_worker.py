"""A worker as its agent sees it: tables, drain, crashes, memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from proxy import counters
from proxy.outcomes import Outcome
from tests.helpers.dataplane import direct_table, worker
from tests.helpers.http import (
    answering,
    ask,
    connected,
    eventually,
    get,
    ok,
    post,
    read_head,
    read_response,
    upstream,
)

MEBIBYTE = 1024 * 1024


async def test_new_table_routes_the_next_request(tmp_path: Path) -> None:
    """From its acknowledgement on, every request follows the new table; the one in flight keeps the old."""
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await release.wait()
        writer.write(ok(b"old"))

    async with upstream(slow) as old, answering(lambda r: ok(b"new")) as new:
        async with worker(tmp_path, direct_table(old.port)) as w, connected(w.port) as (reader, writer):
            writer.write(get())
            await eventually(lambda: w.in_flight(1) == 1)
            table = direct_table(new.port)

            assert await w.publish(table) == {"type": "ack", "revision": table["revision"]}
            for _ in range(5):
                assert (await ask(w.port, get())).body == b"new"

            release.set()
            assert (await read_response(reader)).body == b"old"
            assert w.cells[counters.REVISION] == table["revision"]


async def test_bad_table_is_refused_and_the_old_one_stands(tmp_path: Path) -> None:
    """A table that cannot be used says why, is counted, and changes nothing."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        bad = direct_table(server.port)
        bad["arms"][0]["upstream"] = 7

        message = await w.publish(bad)

        assert message["type"] == "error"
        assert "arms[0].upstream" in message["message"]
        assert w.cells[counters.TABLES_REFUSED] == 1
        assert (await ask(w.port, get())).status == 200


async def test_drain_finishes_what_is_in_flight(tmp_path: Path) -> None:
    """Told to drain: no new connections, idle ones closed, the answer in progress delivered, exit code 0."""
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await release.wait()
        writer.write(ok(b"done"))

    async with upstream(slow) as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (idle, _), connected(w.port) as (reader, writer):
            writer.write(get())
            await eventually(lambda: w.in_flight(1) == 1)

            await w.send({"type": "drain"})

            assert await asyncio.wait_for(idle.read(), 60) == b""
            await asyncio.sleep(0.1)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", w.port)
            release.set()
            response = await read_response(reader)
            assert (response.body, response.get("connection")) == (b"done", "close")
        assert await asyncio.wait_for(w.process.wait(), 60) == 0


async def test_a_replaced_worker_takes_its_time(tmp_path: Path) -> None:
    """SIGTERM hands over: what is open is served to its end, and an idle connection has one more request."""
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read_head(reader)
            if "/slow" in head.start_line:
                await release.wait()
            writer.write(ok(b"done"))

    async with upstream(slow) as server:
        first_table = direct_table(server.port, timeouts={"drain": 0.1})
        async with worker(tmp_path, first_table) as w:
            async with connected(w.port) as (idle, idle_writer), connected(w.port) as (reader, writer):
                idle_writer.write(get())
                assert (await read_response(idle)).status == 200
                writer.write(get("/slow"))
                await eventually(lambda: w.in_flight(1) == 1)

                # One order from each agent that comes and finds this worker, which may be many.
                for _ in range(3):
                    os.kill(w.pid, signal.SIGTERM)
                    await refused(w.port)
                # Longer than a worker that stops for good would wait for either of them.
                await asyncio.sleep(1.5)

                idle_writer.write(get())
                last = await read_response(idle)
                assert (last.body, last.get("connection")) == (b"done", "close")
                release.set()
                assert (await read_response(reader)).body == b"done"
            assert await asyncio.wait_for(w.process.wait(), 60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_answer_that_did_not_announce_the_end_is_not_the_last(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Its head went out before the worker knew of its end, so the client's next request is answered, too."""
    go_on = asyncio.Event()

    async def halting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read_head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndo")
            if "/slow" in head.start_line:
                await go_on.wait()
            writer.write(b"ne")

    async with upstream(halting) as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(get("/slow"))
            head = await reader.readuntil(b"\r\n\r\ndo")
            os.kill(w.pid, number)
            await refused(w.port)
            go_on.set()
            assert await reader.readexactly(2) == b"ne"
            writer.write(get())
            last = await read_response(reader)
        assert b"connection" not in head.lower()
        assert (last.status, last.body, last.get("connection")) == (200, b"done", "close")
        assert await asyncio.wait_for(w.process.wait(), 60) == 0


async def refused(port: int) -> None:
    """Wait until nobody listens on a port."""
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.02)
    raise AssertionError("somebody still listens")


async def test_drain_answers_what_is_on_its_way(tmp_path: Path) -> None:
    """A request that comes as the worker begins to drain, on a kept connection or a new one, is answered."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(get())
            assert (await read_response(reader)).status == 200
            os.kill(w.pid, signal.SIGSTOP)
            # Accepted by the kernel, and by nobody else yet.
            async with connected(w.port) as (fresh_reader, fresh_writer):
                fresh_writer.write(get())
                await w.send({"type": "drain"})
                os.kill(w.pid, signal.SIGCONT)
                fresh = await read_response(fresh_reader)
                writer.write(get())
                kept = await read_response(reader)

        assert (fresh.status, fresh.get("connection")) == (200, "close")
        assert (kept.status, kept.get("connection")) == (200, "close")
        assert await asyncio.wait_for(w.process.wait(), 60) == 0


async def test_drain_is_bounded(tmp_path: Path) -> None:
    """A request that never ends does not keep a draining worker alive."""

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    table_timeouts = {"drain": 0.5, "first_byte": 60.0}
    async with (
        upstream(stuck) as server,
        worker(tmp_path, direct_table(server.port, timeouts=table_timeouts)) as w,
    ):
        async with connected(w.port) as (_, writer):
            writer.write(get())
            await eventually(lambda: w.in_flight(1) == 1)
            await w.send({"type": "drain"})
            assert await asyncio.wait_for(w.process.wait(), 5) == 0
        assert w.in_flight(1) == 0


async def test_killed_worker_leaves_its_counts(tmp_path: Path) -> None:
    """What was counted before a SIGKILL can be read after it."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        for _ in range(25):
            await ask(w.port, post(b"x"))
        await eventually(lambda: w.in_flight(1) == 0)
        os.kill(w.pid, signal.SIGKILL)
        await w.process.wait()

        assert w.outcome(1, Outcome.OK) == w.cell(1, counters.STARTED) == 25


async def test_large_bodies_stream_in_bounded_memory(tmp_path: Path) -> None:
    """64 MiB up and down through one worker grow it by less than 16 MiB; tests/integration has a big run."""
    size = 64 * MEBIBYTE
    piece = b"x" * 65536

    async def echo_count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        left = int(head.get("content-length") or 0)
        while left:
            left -= len(await reader.read(min(left, 65536)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            writer.write(piece)
            await writer.drain()

    async with upstream(echo_count) as server, worker(tmp_path, direct_table(server.port)) as w:
        await asyncio.sleep(0.2)
        before = w.rss()
        peak = 0
        async with connected(w.port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % size)
            for _ in range(size // len(piece)):
                writer.write(piece)
                await writer.drain()
                peak = max(peak, w.rss())
            head = await read_head(reader)
            left = int(head.get("content-length") or 0)
            while left:
                left -= len(await reader.read(65536))
                peak = max(peak, w.rss())

        assert peak - before < 16 * MEBIBYTE
        assert w.cell(1, counters.BYTES_IN) == w.cell(1, counters.BYTES_OUT) == size


async def test_stalled_reader_and_stalled_upstream_are_held_back(tmp_path: Path) -> None:
    """A client that reads nothing, or a server that reads nothing, cannot fill a worker's memory."""
    piece = b"y" * 65536

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (200 * MEBIBYTE))
        for _ in range(200 * MEBIBYTE // len(piece)):
            writer.write(piece)
            await writer.drain()

    async with upstream(flood) as server, worker(tmp_path, direct_table(server.port)) as w:
        await asyncio.sleep(0.2)
        before = w.rss()
        async with connected(w.port) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(get())
            await asyncio.sleep(1.0)
            assert w.rss() - before < 8 * MEBIBYTE

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(20)

    async with upstream(deaf) as server, worker(tmp_path, direct_table(server.port)) as w:
        await asyncio.sleep(0.2)
        before = w.rss()
        async with connected(w.port) as (_, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % (200 * MEBIBYTE))
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 200 * MEBIBYTE:
                    writer.write(piece)
                    await asyncio.wait_for(writer.drain(), 1.0)
                    sent += len(piece)
            assert sent < 50 * MEBIBYTE
            assert w.rss() - before < 8 * MEBIBYTE
            writer.transport.abort()
