"""Large and many: gigabytes, a thousand streams, ten thousand connections, a hundred thousand keys."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from proxy.processes import resident_bytes
from proxy.splits.base import Split
from proxy.table import RoutingTable
from tests.helpers.headgate import Headgate, canary_route, headgate
from tests.helpers.load import load, send
from tests.helpers.model_server import BLOCK, model_servers, upstreams
from tests.helpers.routing import view
from tests.helpers.waiting import until, until_async

pytestmark = pytest.mark.slow

GIB = 1 << 30
GROWTH_BYTES_MAX = 32 << 20
STREAMS = 1_000
RELOADS = 100
KEYS = 100_000
CONNECTIONS = 10_000
CONNECTION_BYTES_MAX = 10 * 1024


class Peak:
    """The most resident memory that a process had, looked at often."""

    def __init__(self, pid: int) -> None:
        self.first = self.most = resident_bytes(pid)
        self._pid = pid

    @property
    def growth(self) -> int:
        return self.most - self.first

    async def watch(self) -> None:
        while True:
            self.most = max(self.most, resident_bytes(self._pid))
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def peak_of(gate: Headgate) -> AsyncIterator[Peak]:
    (pid,) = gate.workers()
    peak = Peak(pid)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(peak.watch())
        yield peak
        watching.cancel()


async def test_a_gigabyte_up_and_down_is_not_held(tmp_path: Path) -> None:
    """Bodies stream: whichever side is slower, a worker's memory grows by less than 32 MiB."""
    async with model_servers("v1") as servers:
        config = {"upstreams": upstreams(servers), "routes": [{"name": "all", "upstream": "v1"}]}
        async with headgate(tmp_path, config) as gate:
            await send(gate.port, "warm", 20)
            loop = asyncio.get_running_loop()
            before = servers["v1"].bytes_received

            async with peak_of(gate) as up:
                began = loop.time()
                reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
                writer.write(b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % GIB)
                for _ in range(GIB // len(BLOCK)):
                    writer.write(BLOCK)
                    await writer.drain()
                answer = await reader.readuntil(b"\r\n\r\n")
                up_seconds = loop.time() - began
                writer.close()

            assert answer.startswith(b"HTTP/1.1 200 ")
            assert servers["v1"].bytes_received - before >= GIB

            async with peak_of(gate) as down:
                began = loop.time()
                reader, writer = await asyncio.open_connection("127.0.0.1", gate.port, limit=1 << 20)
                writer.write(b"GET /download?%d HTTP/1.1\r\nhost: test\r\n\r\n" % GIB)
                head = await reader.readuntil(b"\r\n\r\n")
                left = GIB
                # A client that pauses at first: what it does not take must wait at the model server.
                await asyncio.sleep(1.0)
                while left:
                    data = await reader.read(1 << 20)
                    assert data, f"{left} bytes are missing"
                    left -= len(data)
                down_seconds = loop.time() - began
                writer.close()

    assert head.startswith(b"HTTP/1.1 200 ")
    print(
        f"1 GiB up in {up_seconds:.1f} s, {up.growth / 2**20:.1f} MiB more; down in {down_seconds:.1f} s,"
        f" {down.growth / 2**20:.1f} MiB more"
    )
    assert up.growth < GROWTH_BYTES_MAX
    assert down.growth < GROWTH_BYTES_MAX


class EventStream:
    """A client of numbered events, which notes the first thing that is wrong."""

    def __init__(self, user: int) -> None:
        self.user = user
        self.next = 0
        self.wrong = ""

    async def follow(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET /events HTTP/1.1\r\nhost: test\r\nx-user-id: u%d\r\n\r\n" % self.user)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                self.wrong = repr(head)
                return
            while True:
                line = await reader.readline()
                if not line:
                    self.wrong = f"ended after event {self.next}"
                    return
                if line.startswith(b"data: "):
                    if int(line[6:]) != self.next:
                        self.wrong = f"event {line!r} instead of {self.next}"
                        return
                    self.next += 1
        except (OSError, asyncio.IncompleteReadError) as exc:
            self.wrong = repr(exc)
        finally:
            writer.close()


async def test_a_thousand_streams_survive_a_hundred_reloads(tmp_path: Path) -> None:
    """A table in use stays in use by who began with it: no stream ends, none misses an event."""
    async with model_servers("v1", "v2") as servers:
        for server in servers.values():
            server.beat_seconds = 2.0
        config = {
            "upstreams": upstreams(servers),
            "routes": [
                canary_route("events", steps=["10%", "100%"], duration="1h"),
                {"name": "other", "upstream": "v1"},
            ],
        }
        async with headgate(tmp_path, config) as gate:
            await gate.control_back()
            first = (await gate.get("/readyz"))["revision"]
            streams = [EventStream(number) for number in range(STREAMS)]
            followers = []
            for number, stream in enumerate(streams):
                followers.append(asyncio.ensure_future(stream.follow(gate.port)))
                if number % 50 == 49:
                    await asyncio.sleep(0.1)
            try:
                await until(lambda: all(stream.next for stream in streams), seconds=60)
                changed = 0
                for number in range(RELOADS):
                    gate.write(timeouts={"total": "0s", "connect": f"{6 + number % 7}s"})
                    changed += (await gate.reload())["outcome"] == "applied"
                revision = (await gate.get("/readyz"))["revision"]
                seen = min(stream.next for stream in streams)
                await until(lambda: min(stream.next for stream in streams) > seen + 1, seconds=60)
            finally:
                wrong = [stream.wrong for stream in streams if stream.wrong]
                for follower in followers:
                    follower.cancel()
                await asyncio.gather(*followers, return_exceptions=True)
            shared = {name: len(server.streams) for name, server in servers.items()}

    print(
        f"{RELOADS} reloads, revision {first} to {revision}; streams by model server {shared};"
        f" broken {len(wrong)}"
    )
    assert wrong == []
    assert sum(shared.values()) == STREAMS
    assert all(shared.values())
    assert revision >= first + RELOADS
    assert changed >= RELOADS // 2


async def test_no_key_leaves_the_canary_as_its_weight_grows(tmp_path: Path) -> None:
    """1, 5, 10, 25, 50, 100 %: of 100 000 keys none that was on the canary is ever taken off it again."""
    weights = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0]
    async with model_servers("v1", "v2") as servers:
        config = {
            "upstreams": upstreams(servers),
            "routes": [
                canary_route(
                    "model",
                    steps=[f"{weight:.0%}" for weight in weights],
                    duration="1h",
                    guardrails=[],
                )
            ],
        }
        async with headgate(tmp_path, config) as gate:
            await gate.control_back()
            views = [view(b"X-User-Id: u%d" % number) for number in range(KEYS)]
            before: set[int] = set()
            left = []
            shares = []
            for number, weight in enumerate(weights):
                if number:
                    # A plan with this weight as its only step: a rollout moves to the nearest one.
                    gate.settings["routes"][0]["rollout"]["steps"] = [
                        {"weight": f"{weight:.0%}", "duration": "1h"}
                    ]
                    gate.write()
                    await gate.reload()
                await until_async(partial(_weighs, gate, weight), seconds=60, what=gate.said)
                split = _split(gate)
                now = {index for index, request in enumerate(views) if split.choose(request).role == "canary"}
                left.append(len(before - now))
                shares.append(len(now) / KEYS)
                before = now
                # The workers agree with what was worked out here.
                account = await send(gate.port, "model", 200)
                assert account.count(variant="v2") == sum(index in now for index in range(200))

    print(f"weights {weights}, shares {shares}, keys that left {left}")
    assert left == [0] * len(weights)
    for weight, share in zip(weights, shares, strict=True):
        # Five standard deviations of a binomial share.
        assert abs(share - weight) <= 5 * (weight * (1 - weight) / KEYS) ** 0.5


async def _weighs(gate: Headgate, weight: float) -> bool:
    status, ready = await gate.call("GET", "/readyz")
    table = gate.table()
    split = table["routes"][0]["split"]
    share = sum(
        part
        for arm, part in zip(split["arms"], split["weights"], strict=True)
        if table["arms"][arm]["role"] == "canary"
    )
    return (
        status == 200
        and ready["workers"]["revision"] == ready["revision"] == table["revision"]
        and abs(share - weight) < 1e-9
    )


def _split(gate: Headgate) -> Split:
    """The split as the workers make it of the table on disk."""
    table = gate.table()
    for slot, arm in enumerate(table["arms"], start=1):
        arm["slot"] = slot
    return RoutingTable.from_json(table).routes[0].split


async def test_ten_thousand_idle_connections_are_cheap(tmp_path: Path) -> None:
    """At most 10 KiB each, all of them still good for another request, and none in the way of new ones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + 2000:
        pytest.skip(f"the limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        async with model_servers("v1") as servers:
            config = {
                "upstreams": upstreams(servers),
                "routes": [{"name": "all", "upstream": "v1"}],
                "limits": {"connections": CONNECTIONS + 1000},
                "timeouts": {"keepalive_idle": "600s"},
            }
            async with headgate(tmp_path, config) as gate:
                await send(gate.port, "warm", 50)
                before = gate.worker_bytes()
                streams = []
                try:
                    for _ in range(CONNECTIONS // 100):
                        streams += await asyncio.gather(*(_connect(gate.port) for _ in range(100)))
                    await asyncio.sleep(1.0)
                    each = (gate.worker_bytes() - before) / CONNECTIONS
                    metrics = await gate.metrics()
                    open_now = metrics['headgate_connections_open{worker="0"}']
                    again = [await _ask(*stream) for stream in streams[::100]]
                    fresh = await send(gate.port, "fresh", 20)
                finally:
                    for _, writer in streams:
                        writer.close()
                    await asyncio.sleep(0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    print(f"{open_now:g} connections, {each:.0f} bytes each")
    assert open_now >= CONNECTIONS
    assert all(again)
    assert fresh.not_ok == fresh.unanswered == 0
    assert each <= CONNECTION_BYTES_MAX


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    stream = await asyncio.open_connection("127.0.0.1", port)
    assert await _ask(*stream)
    return stream


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"GET /idle HTTP/1.1\r\nhost: test\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    return head.startswith(b"HTTP/1.1 200 ")


async def test_a_restart_under_load_fails_no_request(tmp_path: Path) -> None:
    """SIGTERM finishes what was accepted; until the next start connections are refused, and nothing else."""
    async with model_servers("v1", "v2") as servers:
        for server in servers.values():
            # Long enough that some requests are always under way.
            server.seconds = 0.05
        config = {
            "workers": 2,
            "upstreams": upstreams(servers),
            "routes": [canary_route("model", steps=["20%", "100%"], duration="1h")],
        }
        async with headgate(tmp_path, config) as gate:
            await gate.control_back()
            before = await gate.rollout("model")
            async with (
                load(gate.port, "model", rate=100, clients=8) as kept,
                load(gate.port, "model", rate=100, clients=12, keep_alive=False) as fresh,
            ):
                for _ in range(3):
                    await asyncio.sleep(1.0)
                    assert await gate.stop() == 0
                    await gate.start()
                await asyncio.sleep(1.0)
            await gate.control_back()
            after = await gate.rollout("model")

    for name, account in (("kept", kept.account), ("new", fresh.account)):
        print(
            f"{name}: {account.total_answered} answered, {account.not_ok} not well,"
            f" {account.refused} refused, {account.stale} closed as they were sent, {account.broken} broken"
        )
        assert account.refused > 0
        assert account.not_ok == account.unanswered == 0, account.errors
    served = sum(server.total for server in servers.values())
    answered = kept.account.total_answered + fresh.account.total_answered
    assert served == answered
    assert (after["id"], after["step"]) == (before["id"], before["step"])
