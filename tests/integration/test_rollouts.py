"""Rollouts end to end: real processes, real requests, two workers; good, bad, dead and unused canaries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.helpers.headgate import Headgate, canary_route, headgate
from tests.helpers.load import load, send
from tests.helpers.model_server import ModelServer, model_servers, upstreams
from tests.helpers.waiting import SECONDS, until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMAND_SECONDS = 1.0
STEERED = ("steered", "promptly")
DIVERT_FAILURES_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Headgate with two workers before a stable and a canary model server."""

    gate: Headgate
    stable: ModelServer
    canary: ModelServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    config = {
        "workers": 2,
        "routes": [
            canary_route("good"),
            canary_route("bad", steps=["50%", "100%"]),
            # Ten seconds of trouble are survived here, so the divert has to be what protects users.
            canary_route("dead", steps=["10%", "100%"], duration="1h", burst="10s"),
            canary_route("idle", duration="0s"),
            *(canary_route(name, steps=["10%", "50%", "100%"], duration="1h") for name in STEERED),
            canary_route("counted", rollout="", steps=["20%", "100%"], duration="1h"),
        ],
    }
    for route in config["routes"]:  # type: ignore[attr-defined]
        if route["name"] != "idle":
            # Each rollout begins when its test does.
            route["rollout"]["auto_start"] = False
        route["rollout"].pop("rollout", None)
    async with model_servers("v1", "v2") as servers:
        config["upstreams"] = upstreams(servers)
        servers["v2"].fails = lambda place, number: False
        async with headgate(tmp_path_factory.mktemp("stage"), config) as gate:
            await gate.control_back()
            yield Stage(gate=gate, stable=servers["v1"], canary=servers["v2"])


async def test_a_good_canary_is_promoted_by_evidence(stage: Stage) -> None:
    """It is ramped to all requests by what was counted, every step after a decision that says so."""
    gate = stage.gate

    async with load(gate.port, "good", rate=400) as traffic:
        began = time.monotonic()
        await gate.command("good", "promote", "begin")
        rollout = await gate.reached("good", "promoted", "rolled_back")
        took = time.monotonic() - began
        await until_async(lambda: _applied(gate))
        # Requests under way when the table changed may still have gone to stable.
        served = await _last_count(stage.stable, "good")
        await asyncio.sleep(0.5)
        after = stage.stable.served["good"] - served

    assert rollout["state"] == "promoted"
    assert [decision["kind"] for decision in reversed(rollout["decisions"])] == [
        "started",
        "advanced",
        "advanced",
        "promoted",
    ]
    assert all(decision["actor"] == "controller" for decision in rollout["decisions"][:-1])
    assert rollout["analysis"]["verdict"] == "pass"
    assert traffic.account.not_ok == traffic.account.unanswered == 0
    print(f"promoted after {took:.1f} s and {traffic.account.total} requests")
    assert after == 0


async def test_a_canary_with_errors_is_rolled_back_for_good(stage: Stage) -> None:
    """5 % errors condemn it, the reason names the numbers, and from then on nobody reaches it at all."""
    gate, canary = stage.gate, stage.canary
    canary.fails = lambda place, number: number % 20 == 7

    async with load(gate.port, "bad", rate=400) as traffic:
        await gate.command("bad", "promote", "begin")
        await gate.reached("bad", "rolled_back", "promoted")
        rolled_back_at = time.monotonic()
        await until_async(lambda: _applied(gate))
        applied_after = time.monotonic() - rolled_back_at
        served = await _last_count(canary, "bad")
        await asyncio.sleep(1.0)
    canary.fails = lambda place, number: False

    rollout = await gate.rollout("bad")
    assert rollout["state"] == "rolled_back"
    (decision, *_) = rollout["decisions"]
    reason = decision["reason"]
    assert "%" in reason
    assert any(character.isdigit() for character in reason), reason
    print(f"rolled back because {reason}; on all workers {applied_after * 1000:.0f} ms after it was seen")
    assert traffic.account.not_ok == canary.failed["bad"]

    # The same users again, who were on the canary before; and those who ask for it by name.
    again = await send(gate.port, "bad", 300)
    cookie = await send(gate.port, "bad", 50, headers={"cookie": "variant=v2"})
    header = await send(gate.port, "bad", 50, headers={"x-variant": "v2"})

    assert canary.served["bad"] == served
    for account in (again, cookie, header):
        assert account.count(variant="v1", status=200) == account.total


async def test_a_dead_canary_is_diverted_within_ten_requests(stage: Stage) -> None:
    """All its requests fail: at most ten users see that, both workers divert, and a verdict ends it."""
    gate, canary = stage.gate, stage.canary
    canary.fails = lambda place, number: True
    before = await gate.metrics()

    # The chance that the kernel gives all of 24 connections to one worker is 1 in eight million.
    async with load(gate.port, "dead", rate=300, clients=24) as traffic:
        await gate.command("dead", "promote", "begin")

        async def diverting() -> bool:
            metrics = await gate.metrics()
            return _arm(metrics, "headgate_diverting_workers", "dead") == 2

        await until_async(diverting, what="both workers divert")
        rollout = await gate.reached("dead", "rolled_back", "promoted", seconds=60)
    canary.fails = lambda place, number: False

    metrics = await gate.metrics()
    probes = _arm(metrics, "headgate_probe_requests_total", "dead")
    failed = traffic.account.count(place="dead", status=500)
    print(f"failed {failed}, of these {probes:g} probes; because {rollout['reason']}")
    assert rollout["state"] == "rolled_back"
    assert rollout["decisions"][0]["actor"] == "controller"
    assert failed == canary.served["dead"]
    assert failed - probes <= DIVERT_FAILURES_MAX
    assert _arm(metrics, "headgate_diverted_requests_total", "dead") > 0
    assert before
    assert traffic.account.unanswered == 0


async def test_without_traffic_nothing_is_proved(stage: Stage) -> None:
    """A canary nobody asked for stays at its first step: no data is not a pass."""
    gate = stage.gate

    rollout = await gate.rollout("idle")
    status = await gate.get("/v1/status")

    assert (rollout["state"], rollout["step"]) == ("progressing", 0)
    assert rollout["verdict"] == "no_data"
    assert [decision["kind"] for decision in rollout["decisions"]] == ["started"]
    (variants,) = [route["variants"] for route in status["routes"] if route["name"] == "idle"]
    assert all(variant["total"]["state"] == "no_data" for variant in variants)
    assert all(variant["verdict"] in ("no_data", "not_judged") for variant in variants)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        (STEERED[0], None),
        pytest.param(STEERED[1], COMMAND_SECONDS, marks=pytest.mark.slow, id="within a second"),
    ],
)
async def test_commands_take_effect_on_every_worker(stage: Stage, name: str, limit: float | None) -> None:
    """Nothing goes where the order says it shall not; on a machine with time to spare, within a second."""
    gate, canary = stage.gate, stage.canary
    took: dict[str, float] = {}

    async def order(verb: str, state: str, weight: float) -> None:
        began = time.monotonic()
        rollout = await gate.command(name, verb)
        assert (rollout["state"], rollout["weight"]) == (state, weight), verb

        async def in_force() -> bool:
            status, value = await gate.call("GET", "/readyz")
            return (
                status == 200
                and value["workers"]["revision"] == value["revision"]
                and _weight(gate, name) == weight
            )

        await until_async(in_force)
        took[verb] = time.monotonic() - began

    async with load(gate.port, name, rate=200) as traffic:
        await order("promote", "progressing", 0.1)
        await order("pause", "paused", 0.1)
        await order("resume", "progressing", 0.1)
        await order("restart", "progressing", 0.1)
        await order("promote", "promoted", 1.0)
        served = await _last_count(stage.stable, name)
        await asyncio.sleep(0.3)
        assert stage.stable.served[name] == served
        await order("rollback", "rolled_back", 0.0)
        served = await _last_count(canary, name)
        await asyncio.sleep(0.3)
        assert canary.served[name] == served
        await order("restart", "progressing", 0.1)
        await order("abort", "aborted", 0.0)

    print({verb: f"{seconds * 1000:.0f} ms" for verb, seconds in took.items()})
    assert limit is None or max(took.values()) < limit, took
    assert traffic.account.not_ok == traffic.account.unanswered == 0
    kinds = [decision["kind"] for decision in (await gate.rollout(name))["decisions"]]
    assert kinds[0] == "aborted"


async def test_two_workers_count_as_one(stage: Stage) -> None:
    """What both counted is one view, and it is to the request what clients and upstreams saw."""
    gate = stage.gate
    before = {**stage.stable.served}, {**stage.canary.served}
    workers_before = await _settled_by_worker(stage)
    await gate.command("counted", "promote", "begin")

    async with load(gate.port, "counted", rate=400, clients=24) as traffic:
        await asyncio.sleep(2.0)

    metrics = await _counted(gate)
    stable = stage.stable.served["counted"] - before[0].get("counted", 0)
    canary = stage.canary.served["counted"] - before[1].get("counted", 0)
    assert traffic.account.count(variant="v1", status=200) == stable > 0
    assert traffic.account.count(variant="v2", status=200) == canary > 0
    assert stable + canary == traffic.account.total
    assert _sum(metrics, "headgate_requests_total", 'route="counted"', 'variant="v1"') == stable
    assert _sum(metrics, "headgate_requests_total", 'route="counted"', 'variant="v2"') == canary
    assert _sum(metrics, "headgate_in_flight_requests", 'route="counted"') == 0
    assert _sum(metrics, "headgate_lost_requests_total") == 0
    workers_after = await _settled_by_worker(stage)
    shares = {worker: count - workers_before[worker] for worker, count in workers_after.items()}
    assert sum(shares.values()) == traffic.account.total
    assert len(shares) == 2
    assert all(share > 0 for share in shares.values()), shares

    async def arrived() -> bool:
        status = await gate.get("/v1/status")
        (variants,) = [route["variants"] for route in status["routes"] if route["name"] == "counted"]
        return {variant["name"]: variant["total"]["requests"] for variant in variants} == {
            "v1": stable,
            "v2": canary,
        }

    await until_async(arrived)


async def test_every_request_was_counted_once(stage: Stage) -> None:
    """Over all that happened here, what /metrics says is exactly what the model servers saw."""
    metrics = await _counted(stage.gate)

    for server in (stage.stable, stage.canary):
        counted = _sum(metrics, "headgate_requests_total", f'variant="{server.name}"')
        attempts = _sum(metrics, "headgate_attempts_total", f'variant="{server.name}"')
        failed = _sum(metrics, "headgate_failed_requests_total", f'variant="{server.name}"')
        assert counted == attempts == server.total, server.name
        assert failed == server.failed.total()
    assert _sum(metrics, "headgate_internal_errors_total") == 0
    assert _sum(metrics, "headgate_in_flight_requests") == 0


async def _applied(gate: Headgate) -> bool:
    status, value = await gate.call("GET", "/readyz")
    return status == 200 and bool(value["workers"]["revision"] == value["revision"])


async def _last_count(server: ModelServer, place: str) -> int:
    """What it has served when nothing has come for half a second: the requests on their way have arrived."""
    async with asyncio.timeout(SECONDS):
        served = -1
        while served != server.served[place]:
            served = server.served[place]
            await asyncio.sleep(0.5)
    return served


async def _counted(gate: Headgate) -> dict[str, float]:
    """/metrics when no request is in flight: an answer goes out before it is counted."""
    metrics: dict[str, float] = {}

    async def nothing_in_flight() -> bool:
        nonlocal metrics
        metrics = await gate.metrics()
        return bool(metrics) and _sum(metrics, "headgate_in_flight_requests") == 0

    await until_async(nothing_in_flight, what=lambda: metrics)
    return metrics


def _weight(gate: Headgate, name: str) -> float:
    """The canary's weight in the table on disk."""
    table = gate.table()
    (route,) = [route for route in table["routes"] if route["name"] == name]
    split = route["split"]
    return sum(
        float(weight)
        for arm, weight in zip(split["arms"], split["weights"], strict=True)
        if table["arms"][arm]["role"] == "canary"
    )


def _sum(metrics: dict[str, float], name: str, *marks: str) -> float:
    return sum(
        value
        for key, value in metrics.items()
        if key.startswith(f"{name}{{") and all(mark in key for mark in marks)
    )


def _arm(metrics: dict[str, float], name: str, route: str) -> float:
    return _sum(metrics, name, f'route="{route}"', 'role="canary"')


async def _settled_by_worker(stage: Stage) -> dict[str, float]:
    """Requests by worker; written at each beat of a worker, so waited for until they are all there."""
    found: dict[str, float] = {}

    async def all_there() -> bool:
        found.update(
            {
                key: value
                for key, value in (await stage.gate.metrics()).items()
                if key.startswith("headgate_worker_requests_total{")
            }
        )
        return sum(found.values()) == stage.stable.total + stage.canary.total

    await until_async(all_there, what=lambda: found)
    return found
