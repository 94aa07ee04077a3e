"""Deaths and restarts: what was decided stays decided, and requests are served whatever process is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.helpers.headgate import Headgate, canary_route, headgate
from tests.helpers.load import load, send
from tests.helpers.model_server import ModelServer, model_servers, upstreams
from tests.helpers.waiting import until, until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Headgate with two workers, whose rollouts begin when they are told to."""

    gate: Headgate
    canary: ModelServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with model_servers("v1", "v2") as servers:
        config = {
            "workers": 2,
            "upstreams": upstreams(servers),
            "routes": [
                canary_route("model", steps=["20%", "60%", "100%"], duration="1s", auto_start=False),
                canary_route("dead", steps=["20%", "100%"], duration="1h", burst="60s", auto_start=False),
                canary_route("condemned", steps=["30%", "100%"], auto_start=False),
                canary_route("steady", steps=["20%", "100%"], duration="1h", auto_start=False),
            ],
        }
        async with headgate(tmp_path_factory.mktemp("stage"), config) as gate:
            await gate.control_back()
            yield Stage(gate=gate, canary=servers["v2"])


async def test_without_control_requests_are_served_and_nothing_advances(stage: Stage) -> None:
    """Control is killed in the middle of a step: it comes back by itself and goes on where it was."""
    gate, canary = stage.gate, stage.canary
    canary.fails = lambda place, number: place == "dead"
    await gate.command("dead", "promote", "begin")
    async with load(gate.port, "model", rate=200, clients=8) as traffic:
        await gate.command("model", "promote", "begin")
        await until_async(lambda: _at_step(gate, 1), seconds=60)
        before = await gate.rollout("model")
        (control,) = gate.pids("control")
        gate.kill(control)
        killed = time.monotonic()
        served = traffic.account.total_answered
        # The next one is kept from coming until what holds without it has been seen.
        await until(lambda: gate.pids("control") not in ([], [control]))
        (next_one,) = gate.pids("control")
        os.kill(next_one, signal.SIGSTOP)
        revision = gate.table()["revision"]

        # Gross failure is met without control, too.
        dead = await send(gate.port, "dead", 300)

        assert (await gate.call("GET", "/v1/status"))[0] == 503
        assert (await gate.call("GET", "/readyz"))[0] == 200
        assert gate.table()["revision"] == revision
        served = traffic.account.total_answered - served
        os.kill(next_one, signal.SIGCONT)
        await gate.control_back()
        away = time.monotonic() - killed
        again = await gate.rollout("model")
        ended = await gate.reached("model", "promoted", "rolled_back")

    assert served > 0
    assert 0 < dead.count(status=500) <= 10
    assert (again["id"], again["epoch"]) == (before["id"], before["epoch"])
    assert again["step"] >= before["step"]
    assert ended["state"] == "promoted"
    kinds = [decision["kind"] for decision in reversed(ended["decisions"])]
    assert kinds == ["started", "advanced", "advanced", "promoted"]
    assert traffic.account.not_ok == traffic.account.unanswered == traffic.account.refused == 0
    print(f"control was away for {away:.1f} s; {dead.count(status=500)} failures before the divert")


async def test_a_killed_agent_or_worker_is_replaced(stage: Stage) -> None:
    """Each is killed once under load: service goes on, and no count is lost or doubled."""
    gate = stage.gate
    await gate.command("steady", "promote", "begin")

    async with load(gate.port, "steady", rate=200, clients=8) as traffic:
        account = traffic.account
        await asyncio.sleep(0.5)
        (agent,) = gate.pids("agent")
        orphans = set(gate.workers())
        gate.kill(agent)
        await until(lambda: agent not in gate.pids("agent"))
        await until(lambda: not orphans & set(gate.pids("worker")), seconds=60, what=gate.said)
        await gate.ready()
        assert account.refused == account.broken == 0, account.errors
        handed_over = account.stale
        gate.kill(gate.workers()[0])
        await asyncio.sleep(0.2)
        await gate.ready()
        await asyncio.sleep(0.3)

    metrics = await gate.metrics()
    counted, lost = (
        sum(v for k, v in metrics.items() if k.startswith(name) and 'route="steady"' in k)
        for name in ("headgate_requests_total{", "headgate_lost_requests_total{")
    )
    assert account.not_ok == account.silent == 0
    # Eight connections: no more than one request of each can have been under way in the killed worker.
    assert account.broken + account.stale - handed_over <= 8
    assert account.total_answered <= counted + lost <= account.total_answered + account.unanswered
    assert lost <= account.unanswered
    print(
        f"longest gap {account.gap_seconds * 1000:.0f} ms, {lost:g} lost, {handed_over} closed as the agent's"
        f" successor took over, {account.stale + account.broken - handed_over} as a worker was killed"
    )


async def test_an_order_that_was_given_up_is_not_carried_out(stage: Stage) -> None:
    """Who was told that it failed may have ordered the opposite since, or gone home."""
    gate = stage.gate
    before = await gate.rollout("dead")
    (agent,) = gate.pids("agent")

    os.kill(agent, signal.SIGSTOP)
    try:
        status, _ = await gate.call("POST", "/v1/rollouts/dead/promote", {"reason": "now"}, seconds=1)
        # The close goes out in one of the next turns of our loop.
        await asyncio.sleep(0.2)
    finally:
        os.kill(agent, signal.SIGCONT)
    await gate.ready()
    await gate.command("dead", "pause")

    assert status == 0
    after = await gate.rollout("dead")
    kinds = [decision["kind"] for decision in after["decisions"]]
    assert kinds == ["paused", *(decision["kind"] for decision in before["decisions"])]


async def test_a_rolled_back_canary_stays_so_after_a_restart(stage: Stage) -> None:
    """The whole program ends and starts again: the same rollout and state, and no canary request."""
    gate, canary = stage.gate, stage.canary
    canary.fails = lambda place, number: number % 2 == 0
    async with load(gate.port, "condemned", rate=200):
        await gate.command("condemned", "promote", "begin")
        before = await gate.reached("condemned", "rolled_back", "promoted")
    revision = gate.table()["revision"]
    assert await gate.stop() == 0
    served = canary.served["condemned"]
    # A canary that is well now is no reason to try it again unasked.
    canary.fails = lambda place, number: False

    await gate.start()
    early = await send(gate.port, "condemned", 100, headers={"cookie": "variant=v2"})
    await gate.control_back()
    after = await gate.rollout("condemned")
    late = await send(gate.port, "condemned", 100, headers={"x-variant": "v2"})

    assert before["state"] == after["state"] == "rolled_back"
    assert after["id"] == before["id"]
    assert after["reason"] == before["reason"]
    assert len(after["decisions"]) == len(before["decisions"])
    assert gate.table()["revision"] >= revision
    assert early.count(variant="v1", status=200) == late.count(variant="v1", status=200) == 100
    assert canary.served["condemned"] == served
    # And what was promoted is still promoted.
    assert (await gate.rollout("model"))["state"] == "promoted"
    assert (await send(gate.port, "model", 50)).count(variant="v2", status=200) == 50


async def _at_step(gate: Headgate, step: int) -> bool:
    status, value = await gate.call("GET", "/v1/rollouts/model")
    return status == 200 and value["step"] == step and value["state"] == "progressing"
