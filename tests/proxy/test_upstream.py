"""What a model server may do to the proxy: faults, odd answers, pooled connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from proxy import counters
from proxy.histogram import BUCKETS
from proxy.outcomes import Outcome
from tests.helpers.dataplane import direct_table, worker
from tests.helpers.http import (
    Handler,
    answering,
    ask,
    connected,
    eventually,
    get,
    ok,
    post,
    read_head,
    read_request,
    read_response,
    refusing,
    upstream,
)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close by reset, not by an orderly end."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def replying(data: bytes, *, close: bool = False, resets: bool = False) -> Handler:
    """Return a handler that answers every request with ``data``, then closes or resets if told."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(data)
            await writer.drain()
            if resets:
                await asyncio.sleep(0.05)
                reset(writer)
                return
            if close:
                return

    return handler


async def until_reset(reader: asyncio.StreamReader) -> bytes:
    """Read to the end, which has to be a reset; return what came before it."""
    received = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 60):
            received += piece
    except ConnectionResetError:
        return received
    raise AssertionError("the connection ended in order")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", Outcome.INVALID_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", Outcome.INVALID_RESPONSE),
        (b"garbage\r\n\r\n", Outcome.INVALID_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70000, Outcome.INVALID_RESPONSE),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", Outcome.INVALID_RESPONSE),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            Outcome.INVALID_RESPONSE,
        ),
        (b"", Outcome.RESET),
        (b"HTTP/1.1 200 OK\r\ncontent-le", Outcome.RESET),
    ],
)
async def test_bad_answer_becomes_502(tmp_path: Path, reply: bytes, outcome: Outcome) -> None:
    """An answer that is no valid HTTP/1.1 is never passed on, and its connection is never used again."""
    async with (
        upstream(replying(reply, close=True)) as server,
        worker(tmp_path, direct_table(server.port)) as w,
    ):
        for attempt in (1, 2):
            response = await ask(w.port, post(b"x"))
            assert response.status == 502
            assert response.get("x-headgate-error") == outcome.name.lower()
            assert response.get("x-headgate-variant") == "v1"
            assert w.outcome(1, outcome) == attempt
            assert w.cell(1, counters.FAILED) == attempt
        assert server.connections == 2


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", Outcome.STREAM_TRUNCATED),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n", Outcome.STREAM_TRUNCATED),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345X\r\n", Outcome.STREAM_ERROR),
    ],
)
async def test_fault_after_the_head_resets_the_client(tmp_path: Path, reply: bytes, outcome: Outcome) -> None:
    """Nobody takes a truncated answer for a whole one, and no error text enters a started answer."""
    async with (
        upstream(replying(reply, close=True)) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(post(b"x"))
        received = await until_reset(reader)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"x-headgate-error" not in received
        await eventually(lambda: w.in_flight(1) == 0)
        assert w.outcome(1, outcome) == 1


async def test_close_delimited_answer_passes_and_a_reset_is_seen(tmp_path: Path) -> None:
    """A body that ends with the connection arrives whole; a reset in it reaches the client as one."""
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nto the end"
    async with (
        upstream(replying(reply, close=True)) as server,
        worker(tmp_path, direct_table(server.port)) as w,
    ):
        response = await ask(w.port, get())
        assert response.body == b"to the end"
        assert response.get("connection") == "close"
        assert w.outcome(1, Outcome.OK) == 1
    async with (
        upstream(replying(reply, resets=True)) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(get())
        await read_head(reader)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 60)
        assert w.outcome(1, Outcome.STREAM_TRUNCATED) == 1


async def test_http_1_0_upstream(tmp_path: Path) -> None:
    """An old model server's answer goes out as HTTP/1.1, and its connection is not reused."""
    reply = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"
    async with upstream(replying(reply)) as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            for _ in range(2):
                writer.write(get())
                response = await read_response(reader)
                assert (response.start_line, response.body) == ("HTTP/1.1 200 OK", b"ok")
        assert server.connections == 2


async def test_refused_connection_is_502_and_tried_elsewhere(tmp_path: Path) -> None:
    """No endpoint: 502. Another endpoint: the request, of which no byte was sent, goes there."""
    with refusing() as dead:
        async with answering() as server:
            async with worker(tmp_path, direct_table(dead)) as w:
                response = await ask(w.port, post(b"x"))
                assert (response.status, response.get("x-headgate-error")) == (502, "connect_failed")
                assert w.outcome(1, Outcome.CONNECT_FAILED) == 1
            async with worker(tmp_path, direct_table([dead, server.port])) as w:
                for _ in range(6):
                    assert (await ask(w.port, post(b"x"))).status == 200
                assert w.outcome(1, Outcome.OK) == 6
                assert w.cell(1, counters.RETRIES) >= 2
                assert w.cell(1, counters.ATTEMPTS) == 6 + w.cell(1, counters.RETRIES)
            assert len(server.requests) == 6


async def test_first_byte_and_idle_time_outs(tmp_path: Path) -> None:
    """One that does not begin is answered for with 504; one that stops halfway resets the client."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if "/half" in request.start_line:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        await asyncio.sleep(30)

    timeouts = {"first_byte": 0.3, "stream_idle": 0.3}
    async with (
        upstream(handler) as server,
        worker(tmp_path, direct_table(server.port, timeouts=timeouts)) as w,
    ):
        response = await ask(w.port, post(b"x"))
        assert (response.status, response.get("x-headgate-error")) == (504, "timeout_first_byte")
        async with connected(w.port) as (reader, writer):
            writer.write(get("/half"))
            await read_head(reader)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 60)
        assert w.outcome(1, Outcome.TIMEOUT_FIRST_BYTE) == 1
        assert w.outcome(1, Outcome.TIMEOUT_IDLE) == 1


async def test_total_time_out_bounds_a_lively_stream(tmp_path: Path) -> None:
    """An answer that never pauses and never ends is ended."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    table_timeouts = {"total": 0.5, "stream_idle": 5}
    async with (
        upstream(handler) as server,
        worker(tmp_path, direct_table(server.port, timeouts=table_timeouts)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(get())
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 60)
        assert w.outcome(1, Outcome.TIMEOUT_TOTAL) == 1


async def test_bytes_on_an_idle_connection_drop_it(tmp_path: Path) -> None:
    """An idle 408 never becomes the next caller's answer."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ok(b"mine"))
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async with upstream(handler) as server, worker(tmp_path, direct_table(server.port)) as w:
        assert (await ask(w.port, post(b"1"))).body == b"mine"
        await eventually(lambda: w.cells[counters.UPSTREAM_CONNECTIONS_DISCARDED] == 1)
        assert (await ask(w.port, post(b"2"))).body == b"mine"
        assert server.connections == 2


async def test_bytes_after_the_answer_never_reach_anybody(tmp_path: Path) -> None:
    """More body than announced is cut off, and the connection is not used again."""
    async with (
        upstream(replying(ok(b"right") + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        for _ in range(3):
            writer.write(get())
            assert (await read_response(reader)).body == b"right"
        assert server.connections == 3


async def test_stale_pooled_connection_is_retried_only_where_that_is_safe(tmp_path: Path) -> None:
    """A connection the server closed while a request was on its way: GET is repeated, POST is not."""
    served = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await read_request(reader)
        served += 1
        writer.write(ok())
        await writer.drain()
        # The next request on this connection is read and the connection dropped without an answer.
        await read_request(reader)

    async with upstream(handler) as server, worker(tmp_path, direct_table(server.port)) as w:
        assert (await ask(w.port, get())).status == 200
        assert (await ask(w.port, get())).status == 200
        assert (served, server.connections, w.cell(1, counters.RETRIES)) == (2, 2, 1)
        # The pooled connection has served one; the next request on it is a POST.
        response = await ask(w.port, post(b"once"))
        assert (response.status, response.get("x-headgate-error")) == (502, "reset")
        assert served == 2


async def test_connection_is_not_used_again_after_a_500(tmp_path: Path) -> None:
    """Servers close after an unhandled exception, unannounced; the next request must not meet that."""
    crashed = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            if request.body == b"crash":
                writer.write(b"HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\nno")
                await writer.drain()
                # Writing a traceback takes a while; then the connection goes, with whatever came meanwhile.
                await asyncio.wait_for(crashed.wait(), 60)
                return
            writer.write(ok())

    async with upstream(handler) as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(post(b"crash"))
            assert (await read_response(reader)).status == 500
            writer.write(post(b"fine"))
            await eventually(lambda: server.connections == 2)
            crashed.set()
            assert (await read_response(reader)).status == 200
            writer.write(post(b"fine"))
            assert (await read_response(reader)).status == 200
        assert server.connections == 2
        assert (w.outcome(1, Outcome.UPSTREAM_5XX), w.outcome(1, Outcome.RESET)) == (1, 0)


async def test_early_answer_ends_the_exchange(tmp_path: Path) -> None:
    """An upstream that answers before it has the body is heard; both connections are closed after it."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await reader.read()

    async with (
        upstream(handler) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1000)
        response = await read_response(reader)
        assert (response.status, response.body) == (413, b"big")
        assert await asyncio.wait_for(reader.read(), 60) == b""
        await eventually(lambda: server.open == 0)
        assert w.outcome(1, Outcome.UPSTREAM_4XX) == 1


async def test_outcomes_by_status(tmp_path: Path) -> None:
    """Each class of status is counted as what it is; only 5xx is a failure by default."""
    statuses = ["200", "302", "404", "429", "500", "503"]
    queue = list(statuses)

    async with (
        answering(lambda r: f"HTTP/1.1 {queue.pop(0)} X\r\ncontent-length: 0\r\n\r\n".encode()) as server,
        worker(tmp_path, direct_table(server.port)) as w,
    ):
        for status in statuses:
            assert (await ask(w.port, get())).status == int(status)

        counted = [w.outcome(1, outcome) for outcome in Outcome]
        assert counted[:4] == [2, 1, 1, 2]
        assert sum(counted) == w.cell(1, counters.STARTED) == w.cell(1, counters.FINISHED) == 6
        assert w.cell(1, counters.FAILED) == 2
        histogram = sum(w.cell(1, counters.HIST_TOTAL + i) for i in range(BUCKETS))
        assert histogram == 4


async def test_least_in_flight_avoids_a_busy_endpoint(tmp_path: Path) -> None:
    """While one endpoint is stuck, least in flight sends the rest elsewhere."""
    release = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await release.wait()
            writer.write(ok(b"slow"))

    async with upstream(stuck) as slow, answering(lambda r: ok(b"fast")) as fast:
        table = direct_table([slow.port, fast.port], balance="least_in_flight")
        async with worker(tmp_path, table) as w:
            # The first of two drawn wins a tie, so it may take a few until the stuck one has a request.
            pending = []
            while not slow.connections:
                pending.append(asyncio.create_task(ask(w.port, get())))
                await asyncio.sleep(0.02)
            answers = [await asyncio.wait_for(ask(w.port, get()), 60) for _ in range(20)]
            release.set()
            await asyncio.gather(*pending)
            assert {a.body for a in answers} == {b"fast"}
