"""Injected regressions end in a rollback for what is wrong, harmless disturbances in none; real processes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.helpers.clock_step import WallClock
from tests.helpers.headgate import Headgate, canary_route, headgate
from tests.helpers.load import load
from tests.helpers.model_server import ModelServer, model_servers, upstreams

VERDICT_SECONDS = 240.0
# What healthy answers take: slow ones are one in twelve, and long beside what a busy machine adds.
FAST, SLOW, SLOW_EVERY = 0.04, 0.24, 12
LABEL = {"name": "label_error", "source": "feedback", "range": [0, 1]}
ERRORS = {"kind": "error_rate_rise", "promote_rise": "5%"}


def latency(*quantiles: str) -> dict[str, Any]:
    return {"kind": "latency_ratio", "quantiles": list(quantiles), "max": 1.2, "rise": "10%"}


def watched(name: str, *guardrails: dict[str, Any], **rollout: Any) -> dict[str, Any]:
    """A route at 50 % that is judged by these and stays there, so that it ends by a verdict only."""
    plan = {"steps": ["50%", "100%"], "duration": "1h", "guardrails": [ERRORS, *guardrails], **rollout}
    return canary_route(name, **plan)


def usual(number: int) -> float:
    return SLOW if number % SLOW_EVERY == 0 else FAST


def slow_tail(number: int) -> float:
    """One in five, so that no load puts as many of control's beyond its own p95 as of a slower canary's."""
    return SLOW if number % 5 == 0 else FAST


@contextlib.asynccontextmanager
async def stand(
    folder: Path, *routes: dict[str, Any]
) -> AsyncIterator[tuple[Headgate, dict[str, ModelServer]]]:
    """A Headgate before v1 and v2, v2 with two endpoints."""
    async with model_servers("v1", "v2", "v2b") as servers:
        both = upstreams(servers)
        endpoints = both["v2"]["endpoints"] + both.pop("v2b")["endpoints"]
        both["v2"]["endpoints"] = endpoints
        config = {"workers": 1, "upstreams": both, "routes": list(routes)}
        async with headgate(folder, config) as gate:
            await gate.control_back()
            yield gate, servers


def canaries(servers: dict[str, ModelServer]) -> list[ModelServer]:
    return [servers["v2"], servers["v2b"]]


async def users_who_report(
    gate: Headgate, place: str, wrong: dict[str, float], stop: asyncio.Event
) -> Counter[str]:
    """Ask, and report by the answer's id whether it was wrong; returns what became of the reports."""
    fates: Counter[str] = Counter()
    chance = random.Random(7)
    async with aiohttp.ClientSession() as session:
        number = 0
        while not stop.is_set():
            items = []
            for _ in range(20):
                number += 1
                headers = {"x-user-id": f"reporter-{number}"}
                async with session.get(f"http://127.0.0.1:{gate.port}/{place}", headers=headers) as answer:
                    variant = answer.headers["x-headgate-variant"]
                    value = float(chance.random() < wrong[variant])
                    items.append(
                        {
                            "request_id": answer.headers["x-request-id"],
                            "metric": "label_error",
                            "value": value,
                        }
                    )
            async with session.post(f"{gate.admin}/v1/feedback", json={"items": items}) as answer:
                assert answer.status == 200, await answer.text()
                fates.update(item["status"] for item in (await answer.json())["items"])
            await asyncio.sleep(0.02)
    return fates


async def test_wrong_answers_that_only_feedback_sees_are_rolled_back(tmp_path: Path) -> None:
    """Every answer is a quick 200; that three in ten are wrong is said later, by their signed ids."""
    guardrail = {"kind": "metric", "name": "labels", "metric": "label_error", "direction": "higher_is_worse"}
    route = watched("labels", guardrail) | {"metrics": [LABEL]}
    async with stand(tmp_path, route) as (gate, _):
        stop = asyncio.Event()
        reporting = asyncio.create_task(users_who_report(gate, "labels", {"v1": 0.02, "v2": 0.3}, stop))
        rollout = await gate.reached("labels", "rolled_back", "promoted", seconds=VERDICT_SECONDS)
        stop.set()
        fates = await reporting

    assert rollout["state"] == "rolled_back"
    assert "for a worse label_error" in rollout["reason"]
    # Reports that come before the arms they name have been counted once are not taken.
    assert fates["accepted"] > 0.5 * fates.total(), fates


@pytest.mark.slow
async def test_each_injected_regression_ends_in_its_verdict(tmp_path: Path) -> None:
    """One in a hundred fails, all fail, p95 half as slow again, p99 doubled; and one only slow to start."""
    routes = [
        watched("some"),
        watched("all"),
        watched("tail", latency("p90", "p95")),
        watched("rare", latency("p99")),
        watched(
            "cold",
            latency("p50", "p90"),
            duration="0s",
            warm_up={"requests": 60},
            steps=["20%", "50%", "100%"],
        ),
    ]
    async with stand(tmp_path, *routes) as (gate, servers):
        for place in ("tail", "rare", "cold"):
            for server in servers.values():
                server.delays[place] = slow_tail if place == "tail" else usual
        for server in canaries(servers):
            server.fails = lambda place, number: place == "all" or (place == "some" and number % 100 == 50)
            server.delays["tail"] = lambda number: slow_tail(number) * (1.5 if number % 5 == 0 else 1.0)
            server.delays["rare"] = lambda number: 2 * SLOW if number % 33 == 0 else usual(number)
            # Its first answers fill caches, in each of the two processes.
            server.delays["cold"] = lambda number: 0.4 if number <= 20 else usual(number)
        async with contextlib.AsyncExitStack() as traffic:
            for place, rate in (("some", 120), ("all", 20), ("tail", 60), ("rare", 90), ("cold", 60)):
                await traffic.enter_async_context(load(gate.port, place, rate=rate, clients=16))
            ends = {
                route["name"]: await gate.reached(
                    route["name"], "rolled_back", "promoted", seconds=VERDICT_SECONDS
                )
                for route in routes
            }

    reasons = {place: (end["state"], end["reason"]) for place, end in ends.items()}
    for place, culprit in (
        ("some", "error_rate_rise"),
        ("all", ""),
        ("tail", "latency_ratio"),
        ("rare", "latency_ratio"),
    ):
        assert reasons[place][0] == "rolled_back", reasons
        assert culprit in reasons[place][1], reasons
    assert reasons["cold"][0] == "promoted", reasons


@pytest.mark.slow
async def test_harmless_disturbances_end_in_no_verdict(tmp_path: Path) -> None:
    """An endpoint restarts, both arms fail for a while, clients leave, nobody comes, the file is reread."""
    names = ("restart", "outage", "aborts", "pause", "reload")
    # Two minutes without one, so that what is done to them happens while they are judged.
    routes = [watched(name, burst="10s", duration="40s") for name in names]
    async with stand(tmp_path, *routes) as (gate, servers):
        for server in servers.values():
            server.delays["aborts"] = lambda number: 0.05
        async with contextlib.AsyncExitStack() as traffic:
            running = {
                name: await traffic.enter_async_context(load(gate.port, name, rate=40, clients=8))
                for name in names
                if name != "pause"
            }
            paused = contextlib.AsyncExitStack()
            await paused.enter_async_context(load(gate.port, "pause", rate=40, clients=8))
            await asyncio.sleep(8)
            await paused.aclose()
            for server in servers.values():
                chance = random.Random(server.name)
                server.fails = lambda place, number, chance=chance: (
                    place == "outage" and chance.random() < 0.6
                )  # type: ignore[misc]
            await servers["v2b"].stop()
            await asyncio.gather(leave_early(gate.port, "aborts", 60), asyncio.sleep(4))
            await servers["v2b"].start()
            for server in servers.values():
                server.fails = lambda place, number: False
            gate.write(workers=1, timeouts={"first_byte": "50s"})
            await gate.reload()
            await asyncio.sleep(3)
            await traffic.enter_async_context(load(gate.port, "pause", rate=40, clients=8))
            ends = {
                name: await gate.reached(name, "rolled_back", "promoted", seconds=VERDICT_SECONDS)
                for name in names
            }
            account = running["outage"].account

    assert account.not_ok > 20
    assert {name: end["state"] for name, end in ends.items()} == dict.fromkeys(names, "promoted"), ends


@pytest.mark.slow
async def test_a_step_of_the_clock_ends_in_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock of all processes jumps two hours ahead and four back; steps last what they should."""
    clock = WallClock(tmp_path, monkeypatch)
    began = time.time()
    async with stand(tmp_path, watched("stepped", burst="10s", duration="30s")) as (gate, _):
        async with load(gate.port, "stepped", rate=60, clients=8) as traffic:
            started = await gate.reached("stepped", "progressing")
            since = time.monotonic()
            await asyncio.sleep(6)
            clock.step_to(7200.0)
            await asyncio.sleep(6)
            ahead = await gate.rollout("stepped")
            clock.step_to(-7200.0)
            await asyncio.sleep(6)
            behind = await gate.rollout("stepped")
            end = await gate.reached("stepped", "rolled_back", "promoted", "expired", seconds=VERDICT_SECONDS)
            took = time.monotonic() - since
            metrics = await gate.metrics()

    assert (started["state"], ahead["state"], behind["state"]) == ("progressing",) * 3
    assert end["state"] == "promoted", end
    # Two steps of half a minute; what happened before the first look is not in `took`.
    assert took > 55.0
    assert traffic.account.not_ok == traffic.account.unanswered == 0
    # The processes did see the other time.
    assert end["decisions"][0]["at"] < began - 3600, end["decisions"]
    assert metrics["headgate_tick_failures_total"] == 0


def failing(where: str, share: float, chance: random.Random) -> Callable[[str, int], bool]:
    """Fails a share of the requests to one place."""
    return lambda place, number: place == where and chance.random() < share


async def leave_early(port: int, place: str, count: int) -> None:
    """Clients that close their connection before the answer comes."""
    for number in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /{place} HTTP/1.1\r\nhost: t\r\nx-user-id: leaver-{number}\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.close()
