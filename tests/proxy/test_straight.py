"""The straight way ends as the long one does: in what goes out on both sides, in what is counted and kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.micro.bench_exchange import Sink, first_table, start_of
from proxy.counters import (
    GROUPS_STARTED,
    HIST_FIRST_BYTE,
    HIST_TOTAL,
    OUTCOME_0,
    SLOT_CELLS,
    SUM_TOTAL_US,
    slot_base,
)
from proxy.downstream import Downstream
from proxy.histogram import BUCKETS
from proxy.splits.load import load_all
from proxy.upstream import UpstreamConnection
from proxy.worker import Worker

HOST = b"Host: models.example\r\n"
USER = b"X-User-Id: user-7\r\n"
REQUESTS = {
    "with a body": b"POST /a HTTP/1.1\r\n" + HOST + USER + b"Content-Length: 3\r\n\r\nabc",
    "without": b"GET /a?b HTTP/1.1\r\n" + HOST + USER + b"\r\n",
    "empty body": b"POST /a HTTP/1.1\r\n" + HOST + USER + b"Content-Length: 0\r\n\r\n",
    "keep-alive": b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: keep-alive\r\n" + USER + b"\r\n",
    "nobody's": b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "its own id": b"GET /a HTTP/1.1\r\n" + HOST + USER + b"X-Request-Id: mine\r\n\r\n",
    "forwarded": b"GET /a HTTP/1.1\r\n" + HOST + USER + b"X-Forwarded-Proto: https\r\n\r\n",
    "head": b"HEAD /a HTTP/1.1\r\n" + HOST + USER + b"\r\n",
    "closing": b"GET /a HTTP/1.1\r\n" + HOST + USER + b"Connection: close\r\n\r\n",
    "old": b"GET /a HTTP/1.0\r\n" + HOST + USER + b"\r\n",
    "absolute": b"GET http://models.example/a HTTP/1.1\r\n" + HOST + USER + b"\r\n",
    "pipelined": (b"GET /a HTTP/1.1\r\n" + HOST + USER + b"\r\n") * 2,
    "in part": b"POST /a HTTP/1.1\r\n" + HOST + USER + b"Content-Length: 9\r\n\r\nabc",
    "chunks": b"POST /a HTTP/1.1\r\n"
    + HOST
    + USER
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "large": b"POST /a HTTP/1.1\r\n" + HOST + USER + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000,
    "large and kept alive": b"POST /a HTTP/1.1\r\n"
    + HOST
    + b"Connection: keep-alive\r\nContent-Length: 70000\r\n\r\n"
    + b"x" * 70_000,
    "expecting": b"POST /a HTTP/1.1\r\n"
    + HOST
    + USER
    + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\na",
}
ANSWERS = {
    "whole": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    "empty": [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    "keep-alive": [b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"],
    "moved": [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /b\r\n\r\n"],
    "in two": [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok", b"ok"],
    "head in two": [b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\n\r\nok"],
    "not found": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"],
    "failed": [b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"],
    "busy": [b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"],
    "nothing": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "the same": [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"],
    "closing": [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
    "old": [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    "too much": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokok"],
    "large": [b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000],
    "early hints": [b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    "chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    "hop": [b"HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"],
    "invalid": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
}


class Wire(Sink):
    """A transport that remembers what it was asked to send, and whether to close."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.calls: list[str] = []

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def can_write_eof(self) -> bool:
        """As over TLS, so that closing is one step."""
        return False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that never runs."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


class Alone(Worker):
    """Opens no connections; says how often it was asked to."""

    opened = 0

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        work.close()
        self.opened += 1


def worker_of(folder: Path, loop: asyncio.AbstractEventLoop, *, straight: bool) -> Alone:
    """A worker whose ordinary requests go one way or the other."""
    load_all()
    folder.mkdir()
    worker = Alone(*start_of(folder, first_table()), loop)
    for arm in worker.live.arms:
        assert not arm.special
        arm.special = not straight
    return worker


def connect(worker: Alone) -> list[Wire]:
    """Give each pool one idle connection; what these send."""
    wires = []
    for upstream in worker.live.table.upstreams:
        pool = upstream.live[0].pool
        assert pool is not None
        connection = UpstreamConnection(worker, pool)
        wires.append(Wire())
        connection.connection_made(cast(asyncio.Transport, wires[-1]))
        pool.idle[:] = [connection]
    return wires


def exchanged(worker: Alone, request: bytes, answer: list[bytes]) -> dict[str, Any]:
    """All that is to be seen of an exchange from outside; times, which differ, as how many there are."""
    wires = connect(worker)
    client = Wire()
    downstream = Downstream(worker)
    downstream.connection_made(cast(asyncio.Transport, client))
    worker.wheel.now += 5
    downstream.data_received(request)
    relay = downstream.relay
    waiting = relay is not None and downstream.deadline
    for piece in answer:
        if relay is not None and relay.connection is not None:
            relay.connection.data_received(piece)
    cells: dict[int, list[int]] = {}
    for slot, counts in worker.counts.items():
        counts.settle()
        row = list(worker.cells[slot_base(slot) : slot_base(slot) + SLOT_CELLS])
        timed = [sum(row[start : start + BUCKETS]) for start in (HIST_TOTAL, HIST_FIRST_BYTE)]
        cells[slot] = [*row[:SUM_TOTAL_US], *row[OUTCOME_0:HIST_TOTAL], *timed, *row[GROUPS_STARTED:]]
    return {
        "upstream": [re.sub(rb"[0-9a-f]{32}", b"ID", wire.sent) for wire in wires],
        "client": re.sub(rb"[0-9a-f]{32}", b"ID", client.sent),
        "asked of sockets": [client.calls, *(wire.calls for wire in wires)],
        "cells": cells,
        "counts": (worker.requests, worker.reused, worker.opened),
        "states": (downstream.state, downstream.relay is None, downstream.buffer, downstream.blank_line),
        "deadlines": (waiting, downstream.deadline),
        "endpoints": [
            (one.in_flight, one.requests, one.failed, one.failures, one.pool and len(one.pool.idle))
            for upstream in worker.live.table.upstreams
            for one in upstream.live
        ],
        "idle": [
            (connection.deadline, connection.served, connection.state, connection.relay is None)
            for upstream in worker.live.table.upstreams
            for connection in (upstream.live[0].pool.idle if upstream.live[0].pool else [])
        ],
    }


@pytest.mark.parametrize("request_name", REQUESTS)
def test_both_ways_end_alike(tmp_path: Path, loop: asyncio.AbstractEventLoop, request_name: str) -> None:
    """For ordinary requests and others, with ordinary answers and others."""
    straight = worker_of(tmp_path / "straight", loop, straight=True)
    long = worker_of(tmp_path / "long", loop, straight=False)
    request = REQUESTS[request_name]

    for name, answer in ANSWERS.items():
        assert exchanged(straight, request, answer) == exchanged(long, request, answer), name


def test_a_large_request_waits_whole_for_a_connection(
    tmp_path: Path, loop: asyncio.AbstractEventLoop
) -> None:
    """Where there is no idle one, either way keeps all of it until one is opened."""
    waiting = []
    for straight in (True, False):
        worker = worker_of(tmp_path / str(straight), loop, straight=straight)
        downstream = Downstream(worker)
        downstream.connection_made(cast(asyncio.Transport, Wire()))
        downstream.data_received(REQUESTS["large"])
        relay = downstream.relay
        assert relay is not None
        assert relay.pending is not None
        waiting.append((re.sub(rb"[0-9a-f]{32}", b"ID", b"".join(relay.pending)), relay.state, worker.opened))

    assert waiting[0] == waiting[1]
    assert waiting[0][0].endswith(b"x" * 70_000)
