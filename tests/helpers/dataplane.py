"""A real worker process under test, with a table written by hand and its counter page open for reading."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import mmap
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from proxy import counters
from proxy.counters import CounterPage, slot_base
from proxy.outcomes import OUTCOMES, Outcome
from proxy.sockets import bound_socket
from tests.helpers.forked import ForkedProcess, fork_worker

REVISIONS = itertools.count(1)
# How long is waited for a count: of a worker that sleeps, and of one that has something to do.
SETTLE_SECONDS = 0.2
AWAKE_SECONDS_MAX = 60.0
# Cells that a worker stores with its tick (`SlotCounts.settle`), and how long a busy one may take to.
TICKED = {counters.FINISHED, counters.BYTES_IN, counters.BYTES_OUT, counters.SUM_TOTAL_US}
TICKED |= {counters.SUM_FIRST_BYTE_US, *range(counters.HIST_TOTAL, counters.GROUPS_FAILED)}
TICK_SECONDS_MAX = 60.0


def table(
    upstreams: dict[str, list[int]] | dict[str, int],
    routes: list[dict[str, Any]],
    *,
    arms: list[tuple[str, str, str, str]],
    timeouts: dict[str, float] | None = None,
    limits: dict[str, int] | None = None,
    headers: dict[str, str] | None = None,
    balance: str = "round_robin",
) -> dict[str, Any]:
    """Return a routing table; ``arms`` are (route, variant, role, upstream), in slots from 1 on."""
    names = list(upstreams)
    return {
        "revision": next(REVISIONS),
        "config_digest": "sha256:test",
        "timeouts": timeouts or {},
        "limits": limits or {},
        "headers": headers or {},
        "upstreams": [
            {
                "name": name,
                "release": name,
                "balance": balance,
                "endpoints": [
                    {"url": f"http://127.0.0.1:{port}", "weight": 1}
                    for port in (ports if isinstance(ports, list) else [ports])
                ],
                "timeouts": {},
            }
            for name, ports in upstreams.items()
        ],
        "arms": [
            {
                "route": route,
                "variant": variant,
                "role": role,
                "upstream": names.index(upstream),
                "stage": "s",
                "slot": slot,
            }
            for slot, (route, variant, role, upstream) in enumerate(arms, start=1)
        ],
        "routes": routes,
    }


def route(name: str, split: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a route of a table; failures and retries are the defaults."""
    return {
        "name": name,
        "match": {},
        "failure": [
            "upstream_5xx",
            "connect_failed",
            "timeout_connect",
            "timeout_first_byte",
            "timeout_idle",
            "timeout_total",
            "reset",
            "stream_truncated",
            "stream_error",
            "invalid_response",
        ],
        "timeouts": {},
        "retries": 1,
        "split": split,
        "override": None,
        "divert": None,
    } | more


def direct_table(port: int | list[int], **more: Any) -> dict[str, Any]:
    """Return a table that sends everything to one upstream, counted in slot 1."""
    ports = port if isinstance(port, list) else [port]
    routes = [route("all", {"kind": "direct", "arms": [0]})]
    return table({"v1": ports}, routes, arms=[("all", "v1", "stable", "v1")], **more)


class WorkerProcess:
    """Talks to a worker the way the agent does."""

    def __init__(self, process: ForkedProcess, link: socket.socket, page: Path) -> None:
        self.process = process
        self.port = 0
        self._link = link
        self._buffer = b""
        with page.open("rb") as file:
            self._mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.cells = memoryview(self._mapping).cast("Q")

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self.process.pid

    def cell(self, slot: int, offset: int) -> int:
        """Return one count of one slot, when what has been answered is counted too.

        A response is written before it is counted, so a client may be quicker than the counter. What the
        worker stores with its next tick is waited for, while nothing is in flight.
        """
        begin = time.monotonic()
        while self.in_flight(slot) and time.monotonic() < begin + AWAKE_SECONDS_MAX:
            if time.monotonic() > begin + SETTLE_SECONDS and not self._awake():
                break
            time.sleep(0.001)
        deadline = time.monotonic() + TICK_SECONDS_MAX
        while offset in TICKED and not self.in_flight(slot) and time.monotonic() < deadline:
            if self._cell(slot, counters.STARTED) == self._cell(slot, counters.FINISHED):
                break
            time.sleep(0.005)
        return self._cell(slot, offset)

    def _awake(self) -> bool:
        """Whether the worker runs or wants to: on a busy machine it may not have come to its counting yet."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state in "RD"

    def _cell(self, slot: int, offset: int) -> int:
        return int(self.cells[slot_base(slot) + offset])

    def outcome(self, slot: int, outcome: Outcome) -> int:
        """Return how often an arm ended this way."""
        return self.cell(slot, counters.OUTCOME_0 + outcome)

    def in_flight(self, slot: int) -> int:
        """Return the requests of an arm that have not ended."""
        base = slot_base(slot) + counters.OUTCOME_0
        return self._cell(slot, counters.STARTED) - sum(self.cells[base : base + OUTCOMES])

    def rss(self) -> int:
        """Return the resident memory in bytes, without that of files: a fork maps code as it comes to it."""
        _, resident, shared, *_ = Path(f"/proc/{self.pid}/statm").read_text().split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")

    async def receive(self) -> dict[str, Any]:
        """Return the worker's next message."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._buffer:
            data = await asyncio.wait_for(loop.sock_recv(self._link, 65536), 60)
            assert data, "the worker closed its link"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message as the agent would."""
        await asyncio.get_running_loop().sock_sendall(self._link, json.dumps(message).encode() + b"\n")

    async def publish(self, new_table: dict[str, Any]) -> dict[str, Any]:
        """Publish a table and return the worker's answer to it."""
        await self.send({"type": "table", "table": new_table})
        # What it knows of endpoints comes whenever it has changed, also in between.
        while (message := await self.receive())["type"] == "endpoints":
            pass
        return message


@contextlib.asynccontextmanager
async def worker(
    tmp_path: Path,
    first_table: dict[str, Any],
    *,
    feedback_key: str = "",
    compare: str = "",
    scores: list[list[int]] | None = None,
) -> AsyncIterator[WorkerProcess]:
    """Run a worker process on a free port; ended by SIGTERM and, if need be, SIGKILL."""
    page = tmp_path / f"worker-{first_table['revision']}.page"
    CounterPage.create(str(page), boot="00000000000000aa", index=0)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    listener = bound_socket("127.0.0.1", 0, shared=True)
    process, number = fork_worker(theirs.fileno(), listener.fileno())
    listening = {"host": "127.0.0.1", "port": 0, "backlog": 512, "given": False, "fds": [number]}
    theirs.close()
    listener.close()
    running = WorkerProcess(process, ours, page)
    try:
        await running.send(
            {
                "type": "start",
                "index": 0,
                "boot": "00000000000000aa",
                "page": str(page),
                "siblings": [],
                "listeners": [listening],
                "compare": compare,
                "table": first_table,
                "feedback_key": feedback_key,
                "scores": scores or [],
            }
        )
        while (message := await running.receive())["type"] != "ready":
            assert message["type"] == "ack", message
        running.port = message["addresses"][0][1]
        yield running
        # A worker that met an exception of its own fails the test that provoked it.
        assert running.cells[counters.INTERNAL_ERRORS] == 0
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()
        ours.close()
        running.cells.release()
        running._mapping.close()
