"""Tests of second attempts: when they are safe, who pays for them, and that idle closes reach no client."""

from __future__ import annotations

import asyncio
import fcntl
import random
import socket
import termios
from pathlib import Path
from typing import cast

import pytest

from proxy import counters
from proxy.outcomes import Outcome
from proxy.retrying import RetryBudget, is_idempotent, took_nothing
from proxy.slot_counts import SlotCounts
from tests.helpers.dataplane import direct_table, worker
from tests.helpers.http import (
    ask,
    connected,
    eventually,
    get,
    ok,
    post,
    read_head,
    read_request,
    read_response,
    upstream,
)

REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"


class FakeTransport:
    """A transport that has only its socket."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw

    def get_extra_info(self, name: str) -> socket.socket:
        """The socket."""
        assert name == "socket"
        return self.raw


def asked(raw: socket.socket, size: int) -> bool:
    return took_nothing(cast(asyncio.Transport, FakeTransport(raw)), size)


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    return client, accepted


def counts() -> SlotCounts:
    return SlotCounts(memoryview(bytearray(counters.SLOT_CELLS * 8)).cast("Q"), 0)


def test_kernel_knows_that_nothing_was_taken() -> None:
    """A request sent into a connection that its server has closed is known to be unread."""
    client, server = pair()
    with client:
        client.sendall(REQUEST)
        assert server.recv(1000) == REQUEST
        server.close()
        client.sendall(REQUEST)
        while not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            pass

        assert asked(client, len(REQUEST))
        assert not asked(client, len(REQUEST) - 1)


@pytest.mark.parametrize("how", ["read and reset", "unread and reset", "open"])
def test_what_may_have_been_read_counts_as_read(how: str) -> None:
    """A request that reached the server's kernel may have been acted upon, whatever came then."""
    client, server = pair()
    with client, server:
        client.sendall(REQUEST)
        if how == "read and reset":
            assert server.recv(1000) == REQUEST
        if how != "open":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1000)

        assert not asked(client, len(REQUEST))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"DELETE / HTTP/1.1\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (b"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nIdempotency-Key: 7\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nX: a\r\n\r\n\r\nidempotency-key: 7", False),
    ],
)
def test_idempotent_by_method_or_by_key(message: bytes, expected: bool) -> None:
    """The method says it, or the client does; a body cannot."""
    assert is_idempotent(message) is expected


def test_budget_is_a_share_of_requests_and_a_minimum() -> None:
    """A hundred requests a second pay for twenty retries, and what is saved is bounded."""
    budget = RetryBudget(0.2, 5.0)
    arm = counts()
    budget.watch(0.2, 5.0, [arm])
    while budget.spend():
        pass
    for _ in range(100):
        arm.start(-1)

    budget.turn()

    assert sum(budget.spend() for _ in range(1000)) == 25
    for _ in range(100):
        budget.turn()
    assert sum(budget.spend() for _ in range(1000)) == 50, "ten seconds of the minimum, not a hundred"


def test_no_budget_is_no_retry() -> None:
    """Share and minimum 0 pay for nothing."""
    assert not RetryBudget(0.0, 0.0).spend()


class Restless(asyncio.Protocol):
    """A model server that closes connections at any moment between two requests, in an orderly way or not."""

    def __init__(self, seen: list[bytes], *, orderly: bool) -> None:
        self.seen = seen
        self.orderly = orderly
        self.rng = random.Random(len(seen))
        self.leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.leaving is not None:
            self.leaving.cancel()

    def data_received(self, data: bytes) -> None:
        if self.leaving is not None:
            self.leaving.cancel()
        self.seen.append(data.partition(b" ")[0])
        assert data.endswith(b"\r\n\r\nbody") or data.startswith(b"GET ")
        self.transport.write(ok())
        self.leaving = asyncio.get_running_loop().call_later(self.rng.uniform(0, 0.004), self._leave)

    def _leave(self) -> None:
        # A request that is here already would be thrown away by the close, and nobody could tell.
        raw = self.transport.get_extra_info("socket")
        there = fcntl.ioctl(raw.fileno(), termios.FIONREAD, b"\0\0\0\0")
        if there == b"\0\0\0\0":
            (self.transport.close if self.orderly else self.transport.abort)()


@pytest.mark.parametrize("orderly", [False, True], ids=["reset", "closed"])
@pytest.mark.parametrize(
    ("clients", "each", "share"),
    # In few, how often a busy machine stops the server between its look and its close makes a difference.
    [(10, 40, 0.05), pytest.param(64, 500, 0.01, marks=pytest.mark.slow)],
    ids=["some", "many"],
)
async def test_idle_connections_that_close_at_random_fail_nobody(
    tmp_path: Path, clients: int, each: int, share: float, orderly: bool
) -> None:
    """Upstreams that close idle connections at any moment cost nobody an error; nothing is done twice."""
    seen: list[bytes] = []

    async def client(port: int, number: int) -> list[tuple[str, int]]:
        own = random.Random(number)
        answers = []
        async with connected(port) as (reader, writer):
            for _ in range(each):
                kind = own.choice(["POST", "keyed POST", "GET"])
                extra = "Idempotency-Key: 1\r\n" if kind == "keyed POST" else ""
                writer.write(get() if kind == "GET" else post(b"body", extra=extra))
                answers.append((kind, (await read_response(reader)).status))
                await asyncio.sleep(own.uniform(0, 0.006))
        return answers

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Restless(seen, orderly=orderly), "127.0.0.1", 0)
    async with server, worker(tmp_path, direct_table(server.sockets[0].getsockname()[1])) as w:
        many = await asyncio.gather(*(client(w.port, number) for number in range(clients)))

        answers = [answer for some in many for answer in some]
        failed = [answer for answer in answers if answer[1] != 200]
        print(f"{len(answers)} requests, {w.cell(1, counters.RETRIES)} retries, {len(failed)} failed")
        # A POST that came between the server's last look and its close was taken by the server's kernel.
        assert not [kind for kind, _ in failed if kind != "POST"]
        assert len(failed) <= clients * each * share
        await eventually(lambda: w.outcome(1, Outcome.OK) == clients * each - len(failed))
        assert len(seen) == clients * each - len(failed)
        assert w.cell(1, counters.RETRIES) > 0, "the race was met"


class Obedient(asyncio.Protocol):
    """Answers the first request of a connection, unless it is for /held; what comes after it is `late`."""

    def __init__(self, held: list[Obedient], late: list[Obedient]) -> None:
        self.held, self.late = held, late
        self.requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.requests += 1
        if self.requests > 1:
            self.late.append(self)
        elif b" /held " in data:
            self.held.append(self)
        else:
            self.transport.write(ok())


async def test_second_attempt_is_on_no_connection_that_was_used_before(tmp_path: Path) -> None:
    """What others give back meanwhile may have been closed as well, and there is no third attempt."""
    held: list[Obedient] = []
    late: list[Obedient] = []
    server = await asyncio.get_running_loop().create_server(lambda: Obedient(held, late), "127.0.0.1", 0)
    table = direct_table(server.sockets[0].getsockname()[1])
    table["limits"] = {"upstream_connections": 2}
    async with (
        server,
        worker(tmp_path, table) as w,
        connected(w.port) as (first, first_writer),
        connected(w.port) as (second, second_writer),
        connected(w.port) as (third, third_writer),
    ):
        first_writer.write(get("/held"))
        await eventually(lambda: len(held) == 1)
        second_writer.write(get())
        assert (await read_response(second)).status == 200
        second_writer.write(get())
        await eventually(lambda: len(late) == 1)
        third_writer.write(get("/held"))
        await eventually(lambda: w.in_flight(1) == 3)

        # The new connection goes to the request that has waited longer.
        late.pop().transport.abort()
        await eventually(lambda: len(held) == 2)
        held[0].transport.write(ok())
        assert (await read_response(first)).status == 200
        assert (await read_response(second)).status == 200
        held[1].transport.write(ok())
        assert (await read_response(third)).status == 200
        assert not late


async def test_request_that_was_read_is_repeated_only_where_that_is_safe(tmp_path: Path) -> None:
    """Read and then reset: GET and a keyed POST go out again, a plain POST is a 502."""
    log: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ok())
        again = await read_request(reader)
        log.append(again.start_line)
        writer.transport.abort()

    async with upstream(handler) as server, worker(tmp_path, direct_table(server.port)) as w:

        async def second(request: bytes) -> int:
            await ask(w.port, get("/first"))
            return (await ask(w.port, request)).status

        assert await second(get("/g")) == 200
        assert await second(post(b"x", "/k", extra="Idempotency-Key: 1\r\n")) == 200
        assert await second(post(b"x", "/p")) == 502
        assert [line.split()[1] for line in log].count("/p") == 1


async def test_retries_cost_budget(tmp_path: Path) -> None:
    """Without budget the second attempt is not made, and that is counted."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ok())
        await read_request(reader)
        writer.transport.abort()

    poor = {"attempts": 1, "share": 0.0, "minimum": 0.0}
    async with upstream(handler) as server:
        table = direct_table(server.port)
        table["routes"][0]["retries"] = poor
        async with worker(tmp_path, table) as w:
            assert (await ask(w.port, get())).status == 200
            assert (await ask(w.port, get())).status == 502
            assert w.cell(1, counters.RETRIES) == 0
            assert w.cells[counters.RETRIES_DENIED] == 1


async def test_answer_of_an_error_counts_although_its_client_left(tmp_path: Path) -> None:
    """Clients that read no further than a status of 500 do not hide it; those of a good answer are aborts."""
    leaves = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        status = request.start_line.split("/")[1].split(" ")[0]
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 10\r\n\r\nhalf".encode())
        await leaves.wait()

    async with upstream(handler) as server, worker(tmp_path, direct_table(server.port)) as w:
        for status in ("500", "503", "404", "429", "200"):
            async with connected(w.port) as (reader, writer):
                writer.write(get(f"/{status}"))
                await read_head(reader)
        await eventually(lambda: w.in_flight(1) == 0)
        leaves.set()

        assert w.outcome(1, Outcome.UPSTREAM_5XX) == 2
        assert w.outcome(1, Outcome.UPSTREAM_4XX) == 1
        assert w.outcome(1, Outcome.UPSTREAM_429) == 1
        assert w.outcome(1, Outcome.CLIENT_ABORT) == 1
        assert w.cell(1, counters.FAILED) == 2


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([b"data: {}\n\n", b"data: [DONE]\n\n"], Outcome.OK),
        ([b"data: {}\n\ndata:[DONE]\r\n\r\n"], Outcome.OK),
        ([b"data: {}\n\n", b"data: [DO", b"NE]\n\n"], Outcome.OK),
        ([b"data: {}\n\n"], Outcome.CLIENT_ABORT),
        ([b"data: [DONE]\n\n", b"data: {}\n\n"], Outcome.CLIENT_ABORT),
        ([b'data: {"x": "data: [DONE]"}\n\n'], Outcome.CLIENT_ABORT),
    ],
)
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "to the end"])
async def test_stream_that_said_it_is_done_is_done(
    tmp_path: Path, events: list[bytes], outcome: Outcome, chunked: bool
) -> None:
    """Clients hang up on reading [DONE], before the last chunk: that is a whole answer; nothing else is."""
    if chunked and len(events) == 3:
        pytest.skip("an event over two chunks ends in the middle of their framing")

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        framing = "transfer-encoding: chunked\r\n" if chunked else ""
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n".encode())
        for event in events:
            await asyncio.sleep(0.02)
            writer.write(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
        await asyncio.sleep(30)

    async with upstream(handler) as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(get())
            await read_head(reader)
            await reader.readuntil(events[-1][-8:] + (b"\r\n" if chunked else b""))
        await eventually(lambda: w.in_flight(1) == 0)

        assert w.outcome(1, outcome) == 1
