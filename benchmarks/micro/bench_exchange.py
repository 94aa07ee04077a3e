"""One whole exchange without a kernel: request bytes in, response bytes in, on transports that swallow.

What a request costs a worker in Python alone; sockets, system calls and the event loop come on top.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from proxy.counters import CounterPage
from proxy.downstream import Downstream
from proxy.link import Start
from proxy.splits.load import load_all
from proxy.upstream import UpstreamConnection
from proxy.wire.grammar import COMPILED
from proxy.worker import Worker
from tests.helpers.dataplane import route, table

REQUEST = (
    b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: models.example\r\nUser-Agent: bench/1\r\n"
    b"Accept: application/json\r\nContent-Type: application/json\r\nX-User-Id: user-%06d\r\n"
    b"X-Trace: %032x\r\nAccept-Language: en\r\nX-Tenant: gold\r\nCookie: a=b; c=d\r\n"
    b"Content-Length: 512\r\n\r\n"
)
BODY = b"x" * 512
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: model\r\n"
    b"Date: Sat, 01 Jan 2028 00:00:0%d GMT\r\nContent-Length: 200\r\n\r\n" + b"y" * 200
)
# Heads that differ from one answer to the next, and heads that do not.
DIFFERENT = (RESPONSE % 0, RESPONSE % 1)
SAME = (RESPONSE % 0, RESPONSE % 0)
REQUESTS = 20_000
ROUNDS = 5


class Sink:
    """A transport that takes everything and sends nothing."""

    def __init__(self) -> None:
        self.writes = 0

    def write(self, data: bytes) -> None:
        """Swallow."""
        del data
        self.writes += 1

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Swallow all."""
        self.write(b"".join(pieces))

    def get_extra_info(self, name: str) -> Any:
        """Pretend to come from the loopback address."""
        return ("127.0.0.1", 1) if name == "peername" else None

    def is_closing(self) -> bool:
        """Stay open."""
        return False

    def close(self) -> None:
        """Do nothing."""


def first_table() -> dict[str, Any]:
    """Return a table with a sticky canary split and a divert guard."""
    split = {
        "kind": "canary",
        "arms": [2, 0, 1],
        "weights": [0.1, 0.8, 0.1],
        "salt": "s",
        "epoch": 1,
        "key": ["header:x-user-id"],
        "default_key": None,
    }
    divert = {"arm": 2, "fallback": 0, "failures": 6, "probe_interval": 1.0, "recover": 3}
    arms = [("r", "v1", "stable", "v1"), ("r", "v1", "control", "v1"), ("r", "v2", "canary", "v2")]
    return table({"v1": 9, "v2": 10}, [route("r", split, divert=divert)], arms=arms)


def start_of(folder: Path, first: dict[str, Any]) -> tuple[Start, CounterPage]:
    """Return what a worker starts with: a table and an empty page."""
    page = folder / "bench.page"
    CounterPage.create(str(page), boot="00000000000000aa", index=0)
    start = Start(
        {
            "type": "start",
            "index": 0,
            "boot": "00000000000000aa",
            "page": str(page),
            "siblings": [],
            "listeners": [],
            "table": first,
        }
    )
    return start, CounterPage.open_for_writing(str(page))


def make_worker(folder: Path, loop: asyncio.AbstractEventLoop, first: dict[str, Any]) -> Worker:
    """Return a worker that routes by a table."""
    return Worker(*start_of(folder, first), loop)


def run(worker: Worker, requests: int, responses: tuple[bytes, bytes] = DIFFERENT) -> float:
    """Push requests through one client connection; return seconds of CPU time per request."""
    transport = cast(asyncio.Transport, Sink())
    downstream = Downstream(worker)
    downstream.connection_made(transport)
    connections: dict[str, UpstreamConnection] = {}
    for upstream in worker.live.table.upstreams:
        pool = upstream.live[0].pool
        assert pool is not None
        connection = UpstreamConnection(worker, pool)
        connection.connection_made(cast(asyncio.Transport, Sink()))
        pool.open += 1
        pool.idle.append(connection)
        connections[upstream.name] = connection
    heads = [REQUEST % (n, n) + BODY for n in range(requests)]
    begin = time.process_time()
    for number, head in enumerate(heads):
        downstream.data_received(head)
        relay = downstream.relay
        assert relay is not None
        connection = relay.connection  # type: ignore[assignment]
        connection.data_received(responses[number & 1])
    return (time.process_time() - begin) / requests


def main() -> None:
    """Print the best of a few rounds as JSON."""
    load_all()
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        worker = make_worker(Path(folder), loop, first_table())
        best = min(run(worker, REQUESTS) for _ in range(ROUNDS))
        same = min(run(worker, REQUESTS, SAME) for _ in range(ROUNDS))
    loop.close()
    figures = {
        "compiled": COMPILED,
        "microseconds_per_exchange": round(best * 1e6, 2),
        "with_the_same_response_head": round(same * 1e6, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
