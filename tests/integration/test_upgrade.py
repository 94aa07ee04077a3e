"""The program is replaced under load, workers, agent, control and supervisor, and no request fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from proxy.launch import python_command
from tests.helpers.headgate import Headgate, free_port, headgate
from tests.helpers.load import Load, load
from tests.helpers.model_server import ModelServer, model_servers, upstreams
from tests.helpers.waiting import until, until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

# For one upgrade on a machine that has other things to do.
SECONDS = 90.0
DRAIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Headgate of two workers and the model server behind it."""

    gate: Headgate
    server: ModelServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with model_servers("v1") as servers:
        config = {
            "workers": 2,
            "upstreams": upstreams(servers),
            "routes": [{"name": "model", "upstream": "v1"}],
            "timeouts": {"drain": DRAIN},
        }
        async with headgate(tmp_path_factory.mktemp("stage"), config) as gate:
            yield Stage(gate=gate, server=servers["v1"])


async def upgraded(gate: Headgate) -> dict[str, Any]:
    """Order an upgrade and wait until its workers are the only ones that take connections."""
    assert gate.process is not None
    before = await gate.get("/readyz")
    generation = described(gate)["generation"]
    gate.send(signal.SIGUSR2)

    now: dict[str, Any] = {}

    async def done() -> bool:
        nonlocal now
        gate.check_running()
        status, now = await gate.call("GET", "/readyz")
        return status == 200 and now["boot"] != before["boot"]

    await until_async(done, seconds=SECONDS, what=gate.said)
    assert described(gate)["generation"] == generation + 1
    assert described(gate)["pid"] == gate.process.pid
    return now


def described(gate: Headgate) -> dict[str, Any]:
    """What the supervisor says of itself."""
    value: dict[str, Any] = json.loads(gate.state.supervisor.read_text())
    return value


class Stream:
    """A client of an endless answer, which counts events and notices a missing one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.events = 0

    async def read(self, enough: asyncio.Event) -> None:
        """Read until told that it is enough; fails when the answer ends before, or leaves something out."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET /events HTTP/1.1\r\nhost: test\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            while not enough.is_set():
                event = await asyncio.wait_for(reader.readuntil(b"\n\n\r\n"), SECONDS)
                assert event.endswith(b"data: %d\n\n\r\n" % self.events)
                self.events += 1
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def streams(stage: Stage, count: int) -> AsyncIterator[list[Stream]]:
    """Open streams, which all must still give events at the end."""
    stage.server.beat_seconds = 0.1
    enough = asyncio.Event()
    clients = [Stream(stage.gate.port) for _ in range(count)]
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(client.read(enough))
        await until(lambda: all(client.events for client in clients))
        yield clients
        seen = [client.events for client in clients]
        await until(lambda: all(now.events > before for now, before in zip(clients, seen, strict=True)))
        enough.set()


async def survive(stage: Stage, times: int) -> None:
    """Upgrade again and again under load on kept and on fresh connections; then account for every request."""
    gate = stage.gate
    workers = set(gate.workers())
    async with constant_load(gate) as answered:
        await until(lambda: answered() > 50)
        for _ in range(times):
            await upgraded(gate)
            wanted = answered() + 50
            await until(partial(_reached, answered, wanted), seconds=SECONDS)
    # All but those of the last program end, and those that still have a stream to finish.
    await until(lambda: len(set(gate.workers()) - workers) == 2, seconds=SECONDS)


def _more(traffic: Load, wanted: int) -> bool:
    return traffic.account.total_answered > wanted


async def test_no_request_fails_in_an_upgrade(stage: Stage) -> None:
    """Workers, agent and control are new, the process that was started is the same, and streams go on."""
    async with streams(stage, 4):
        await survive(stage, 1)
        # Longer than a worker that stops for good would go on.
        await asyncio.sleep(DRAIN + 0.5)


@pytest.mark.slow
async def test_an_upgrade_takes_up_listeners_and_workers(stage: Stage) -> None:
    """What a reload cannot change, an upgrade does, without closing what stays."""
    gate = stage.gate
    second = free_port()
    first = gate.settings["listeners"]
    async with load(gate.port, "kept", rate=100, clients=4) as traffic:
        gate.write(listeners=[*first, {"bind": f"127.0.0.1:{second}"}], workers=3)
        now = await upgraded(gate)
        assert now["workers"]["configured"] == 3
        assert len(now["listeners"]) == 2
        _, writer = await asyncio.open_connection("127.0.0.1", second)
        writer.close()
        gate.write(listeners=first, workers=2)
        now = await upgraded(gate)
        assert (now["workers"]["configured"], len(now["listeners"])) == (2, 1)
    assert traffic.account.not_ok == traffic.account.unanswered == traffic.account.refused == 0
    await until_async(lambda: _refused(second), seconds=60)


async def _refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


async def test_a_program_that_cannot_run_is_not_become(stage: Stage) -> None:
    """A faulty configuration stops the upgrade; the command says why, and everything goes on."""
    gate = stage.gate
    whole = gate.config.read_text()
    before = await gate.get("/readyz")
    gate.config.write_text(whole.replace("upstream: v1", "upstream: v9"))

    command = await asyncio.create_subprocess_exec(
        *python_command("control.cli", "upgrade", "--admin", gate.admin),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(command.communicate(), SECONDS)

    assert command.returncode == 2
    assert b"there is no upstream 'v9'" in errors
    assert (await gate.get("/readyz"))["boot"] == before["boot"]
    gate.config.write_text(whole)


async def test_a_worker_that_is_away_is_stood_in_for(stage: Stage) -> None:
    """One of two workers is killed, three times: what it had begun is lost, no new connection fails."""
    gate = stage.gate
    async with load(gate.port, "fresh", rate=100, clients=8, keep_alive=False) as traffic:
        for _ in range(3):
            (victim, *_) = gate.workers()
            assert gate.kill(victim)
            wanted = traffic.account.total_answered + 50
            await until(partial(_more, traffic, wanted), seconds=60)
    account = traffic.account
    assert account.refused == account.not_ok == account.silent == 0, account.errors
    # What was in flight in the worker that was killed; eight clients cannot have more of it.
    assert account.unanswered <= 3 * 8, account.errors


@pytest.mark.slow
async def test_no_request_fails_in_ten_upgrades(stage: Stage) -> None:
    """One after the other, with streams that were opened before the first."""
    async with streams(stage, 10):
        await survive(stage, 10)


@pytest.mark.slow
async def test_no_request_fails_in_a_thousand_reloads(stage: Stage) -> None:
    """One after the other, with streams that were opened before the first."""
    gate = stage.gate
    # The test before may have ended with an upgrade, and control takes longer to start than what serves.
    await until_async(partial(_connected, gate), seconds=SECONDS)
    async with streams(stage, 10), constant_load(gate) as answered:
        for number in range(1_000):
            gate.write(limits={"headers": 100 + number % 50})
            assert (await gate.reload())["outcome"] in ("applied", "unchanged")
        assert answered() > 500
    assert (await gate.get("/readyz"))["problems"] == []


@pytest.mark.slow
async def test_no_request_fails_in_fifty_replacements_of_workers(stage: Stage) -> None:
    """The agent is killed each time: its successor starts workers of its own, and ends the old ones then."""
    gate = stage.gate
    seen: set[int] = set()
    # Of the tests before, some may still be finishing.
    await until(lambda: len(gate.workers()) == 2, seconds=SECONDS)
    async with streams(stage, 10), constant_load(gate) as answered:
        for _ in range(50):
            before = await gate.get("/readyz")
            seen |= set(gate.workers())
            (agent,) = gate.pids("agent")
            assert gate.kill(agent)
            await until_async(partial(_replaced, gate, before["boot"]), seconds=SECONDS, what=gate.said)
            wanted = answered() + 20
            await until(partial(_reached, answered, wanted), seconds=SECONDS)
    assert len(seen) == 2 * 50


async def _connected(gate: Headgate) -> bool:
    return bool((await gate.get("/readyz"))["control"] == "connected")


async def _replaced(gate: Headgate, boot: str) -> bool:
    status, now = await gate.call("GET", "/readyz")
    return status == 200 and now["boot"] != boot


def _reached(answered: Callable[[], int], wanted: int) -> bool:
    return answered() > wanted


@contextlib.asynccontextmanager
async def constant_load(gate: Headgate) -> AsyncIterator[Callable[[], int]]:
    """Requests on kept and fresh connections, none of which may fail; gives the number of answers so far."""
    async with (
        load(gate.port, "kept", rate=60, clients=8) as kept,
        load(gate.port, "fresh", rate=60, clients=8, keep_alive=False) as fresh,
    ):
        yield lambda: min(kept.account.total_answered, fresh.account.total_answered)
    for account in (kept.account, fresh.account):
        assert account.not_ok == account.unanswered == account.refused == 0, account.errors
