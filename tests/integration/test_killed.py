"""kill -9 of agent, workers and control, a hundred times, during load and rollouts that are under way."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.headgate import Headgate, canary_route, headgate
from tests.helpers.load import Account, load, send
from tests.helpers.model_server import ModelServer, model_servers, upstreams
from tests.helpers.verdicts import check_history
from tests.helpers.waiting import until, until_async

KILLS = int(os.environ.get("HEADGATE_TEST_KILLS", "100"))
SEED = int(os.environ.get("HEADGATE_TEST_SEED", "20261"))
PAUSE_SECONDS_MAX = 3.0
# The pause before another start grows to ten seconds when something dies again and again.
BACK_SECONDS = 60.0
SINGLE_OUTAGE_SECONDS_MAX = 3.0
# When the agent is killed while it starts, and each worker that served on as well, nobody is left to serve.
OUTAGE_SECONDS_MAX = 15.0


class Operator:
    """Begins every rollout again when it has ended, and sees that rolled back means rolled back."""

    def __init__(self, gate: Headgate, canary: ModelServer) -> None:
        self.gate = gate
        self.canary = canary
        self.accepted = 0
        self.uncertain = 0
        self.ends: Counter[str] = Counter()
        self.looked = 0
        self.revisions: list[int] = []

    async def work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for route in ("ramp", "bad"):
                status, rollout = await self.gate.call("GET", f"/v1/rollouts/{route}", seconds=3)
                if status == 200 and rollout["state"] in ("promoted", "rolled_back"):
                    self.ends[f"{route} {rollout['state']}"] += 1
                    if rollout["state"] == "rolled_back":
                        await self.see_that_nobody_reaches(route, rollout["decisions"][0]["revision"])
                    await self.restart(route)
            await asyncio.sleep(0.3)

    async def see_that_nobody_reaches(self, route: str, revision: int) -> None:
        """Once every worker there is has the new table, the canary is out of reach, whoever is killed."""

        async def everywhere() -> bool:
            status, ready = await self.gate.call("GET", "/readyz", seconds=3)
            return (
                status == 200
                and ready["workers"]["revision"] >= revision
                and len(self.gate.workers()) == ready["workers"]["configured"]
            )

        await until_async(everywhere, seconds=BACK_SECONDS, what=self.gate.said)
        await asyncio.sleep(0.2)
        served = self.canary.served[route]
        await asyncio.sleep(1.0)
        self.looked += 1
        assert self.canary.served[route] == served, f"{route} reached its canary after a rollback"

    async def restart(self, route: str) -> None:
        status, answer = await self.gate.call(
            "POST", f"/v1/rollouts/{route}/restart", {"reason": "once more"}, seconds=5
        )
        if status == 200:
            self.accepted += 1
        else:
            # Killed before or after it was written down: only the store knows.
            assert status in (0, 409, 502, 503, 504), (status, answer)
            self.uncertain += 1

    async def watch(self, stop: asyncio.Event) -> None:
        """Note the revisions that workers route by, as /metrics shows them."""
        while not stop.is_set():
            revision = int((await self.gate.metrics()).get("headgate_table_revision", 0))
            if revision:
                self.revisions.append(revision)
            await asyncio.sleep(0.3)


class Killer:
    """Kills at random moments: half of the time when all is well, else whatever is going on."""

    def __init__(self, gate: Headgate, accounts: list[Account]) -> None:
        self.gate = gate
        self.killed: Counter[str] = Counter()
        self.calm: dict[str, list[float]] = {"agent": [], "worker": [], "control": []}
        """The longest time without an answer after each kill of a Headgate that was whole."""
        self._accounts = accounts
        self._chance = random.Random(SEED)

    async def work(self) -> None:
        chance = self._chance
        for number in range(KILLS):
            role = chance.choice(("agent", "worker", "control"))
            if calm := chance.random() < 0.5:
                await self._whole()
            await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS_MAX))
            at = asyncio.get_running_loop().time()
            self.gate.kill(chance.choice(await until_pids(self.gate, role)))
            self.killed[role] += 1
            self.gate.check_running()
            if calm:
                await self._whole()
                self.calm[role].append(max(account.gap_since(at) for account in self._accounts))
            if number % 10 == 9:
                print(f"{number + 1} kills", flush=True)

    async def _whole(self) -> None:
        """Wait until every process is there and ready, and no worker of an earlier agent is left."""

        async def whole() -> bool:
            status, ready = await self.gate.call("GET", "/readyz", seconds=3)
            return (
                status == 200
                and ready["control"] == "connected"
                and len(self.gate.workers()) == ready["workers"]["configured"]
                and (await self.gate.call("GET", "/v1/rollouts", seconds=3))[0] == 200
            )

        await until_async(whole, seconds=BACK_SECONDS, what=self.gate.said)


async def until_pids(gate: Headgate, role: str) -> list[int]:
    found: list[int] = []

    def there() -> bool:
        found[:] = gate.pids(role)
        return bool(found)

    await until(there, seconds=BACK_SECONDS, what=gate.said)
    return found


@pytest.mark.slow
async def test_whoever_is_killed_nothing_is_lost(tmp_path: Path) -> None:
    """Service goes on, each decision is there once and stays, and every request is accounted for."""
    print(f"seed {SEED}, {KILLS} kills")
    async with model_servers("v1", "v2") as servers:
        canary = servers["v2"]
        canary.fails = lambda place, number: place == "bad" and number % 5 == 0
        config = {
            "workers": 2,
            "upstreams": upstreams(servers),
            "routes": [
                canary_route("ramp", steps=["10%", "25%", "50%", "100%"], duration="2s"),
                canary_route("bad", steps=["30%", "100%"], duration="1h"),
                canary_route("condemned", duration="1h"),
            ],
        }
        async with headgate(tmp_path, config) as gate:
            await gate.control_back()
            await gate.command("condemned", "rollback")
            await asyncio.sleep(0.5)
            operator = Operator(gate, canary)
            stop = asyncio.Event()
            async with (
                load(gate.port, "ramp", "bad", "condemned", rate=120, clients=8) as kept,
                load(gate.port, "ramp", rate=30, clients=4, keep_alive=False) as fresh,
                load(
                    gate.port, "condemned", rate=10, clients=2, headers={"cookie": "variant=v2"}
                ) as replayed,
            ):
                began = time.monotonic()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(operator.work(stop))
                    tasks.create_task(operator.watch(stop))
                    killer = Killer(gate, [kept.account, fresh.account])
                    await killer.work()
                    stop.set()
                await gate.control_back(BACK_SECONDS)
                await gate.ready()
                took = time.monotonic() - began
            last: list[Any] = []

            async def agreed() -> bool:
                last[:] = await told(gate)
                return await settled(gate)

            # Agent and control agree to the request on what ended and what was lost.
            await until_async(agreed, seconds=60, what=lambda: (last, gate.said()))
            metrics = await gate.metrics()

            accounts = [one.account for one in (kept, fresh, replayed)]
            answered = sum(account.total_answered for account in accounts)
            unanswered = sum(account.unanswered for account in accounts)
            counted, lost = (
                total(metrics, "headgate_requests_total"),
                total(metrics, "headgate_lost_requests_total"),
            )
            served = sum(server.total for server in servers.values())
            outage = max(account.gap_seconds for account in accounts)
            calm = {role: max(gaps, default=0.0) for role, gaps in killer.calm.items()}
            print(
                f"{dict(killer.killed)} in {took:.0f} s; {answered} answered, {unanswered} not, refused"
                f" {sum(account.refused for account in accounts)}; counted {counted:g}, lost {lost:g};"
                f" model servers saw {served}; longest gap {outage:.2f} s; ends {dict(operator.ends)};"
                f" looked {operator.looked} times after a rollback; longest gap after a single kill"
                f" { {role: round(gap, 2) for role, gap in calm.items()} }"
            )

            # Service.
            for account in accounts:
                assert account.silent == 0, account.errors
                assert account.count(place="ramp") == account.count(place="ramp", status=200)
                assert account.count(place="condemned") == account.count(
                    place="condemned", variant="v1", status=200
                )
            assert max(calm.values()) < SINGLE_OUTAGE_SECONDS_MAX
            assert outage < OUTAGE_SECONDS_MAX
            assert canary.served["condemned"] == 0

            # Counts: exact but for what was under way in a process at the moment it was killed.
            assert answered <= counted + lost <= answered + unanswered
            assert answered <= served <= answered + unanswered
            assert lost <= unanswered
            # Decisions.
            assert operator.revisions == sorted(operator.revisions)
            kinds = check_history(gate)
            print(
                f"decisions {dict(kinds)}, restarts accepted {operator.accepted},"
                f" uncertain {operator.uncertain}"
            )
            assert operator.accepted <= kinds["restarted"] <= operator.accepted + operator.uncertain
            assert operator.ends["bad promoted"] == operator.ends["ramp rolled_back"] == 0
            assert (await gate.rollout("condemned"))["state"] == "rolled_back"
            assert await gate.stop() == 0


async def told(gate: Headgate) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
    """Requests that ended and that were lost, by variant: as the agent shows them, and as control does."""
    metrics = await gate.metrics()
    shown = {
        variant: (
            total(metrics, "headgate_requests_total", f'variant="{variant}"'),
            total(metrics, "headgate_lost_requests_total", f'variant="{variant}"'),
        )
        for variant in ("v1", "v2")
    }
    status = await gate.get("/v1/status")
    totals = [(entry["name"], entry["total"]) for route in status["routes"] for entry in route["variants"]]
    taken = {
        variant: (
            float(sum(sum(figures["outcomes"].values()) for name, figures in totals if name == variant)),
            float(sum(figures["lost"] for name, figures in totals if name == variant)),
        )
        for variant in ("v1", "v2")
    }
    return shown, taken


async def settled(gate: Headgate) -> bool:
    """Whether nothing is in flight and control knows what the agent knows."""
    metrics = await gate.metrics()
    if not metrics or total(metrics, "headgate_in_flight_requests"):
        return False
    shown, taken = await told(gate)
    return shown == taken


def total(metrics: dict[str, float], name: str, mark: str = "") -> float:
    """The sum of a family's samples with a mark."""
    return sum(value for key, value in metrics.items() if key.startswith(f"{name}{{") and mark in key)


@pytest.mark.slow
async def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its children notice and end in order, or make room for the next start; nothing decided is forgotten."""
    async with model_servers("v1", "v2") as servers:
        config = {
            "workers": 2,
            "upstreams": upstreams(servers),
            "routes": [
                canary_route("steady", steps=["20%", "100%"], duration="1h"),
                canary_route("condemned", duration="1h"),
            ],
        }
        async with headgate(tmp_path, config) as gate:
            await gate.control_back()
            await gate.command("condemned", "rollback")
            async with load(gate.port, "steady", rate=100, clients=8) as traffic:
                before = await gate.rollout("steady")
                await asyncio.sleep(1.0)
                gate.send(signal.SIGKILL)
                assert gate.process is not None
                await gate.process.wait()
                # At once, while what the one before has left still ends.
                await gate.start()
                await gate.control_back()
                await asyncio.sleep(1.0)
            after = await gate.rollout("steady")
            replayed = await send(gate.port, "condemned", 100, headers={"cookie": "variant=v2"})
            condemned = await gate.rollout("condemned")
            last: list[Any] = []

            async def agreed() -> bool:
                last[:] = await told(gate)
                return sum(sum(counts) for counts in last[1].values()) == traffic.account.total_answered + 100

            # Control has heard of every request, those counted before the kill included.
            await until_async(agreed, seconds=60, what=lambda: (last, traffic.account))
            check_history(gate)
            assert await gate.stop() == 0

    account = traffic.account
    print(f"{account.total_answered} answered, {account.refused} refused, {account.unanswered} not answered")
    assert account.not_ok == account.unanswered == 0, account.errors
    assert (after["id"], after["step"]) == (before["id"], before["step"])
    assert condemned["state"] == "rolled_back"
    assert replayed.count(variant="v1", status=200) == 100
    assert servers["v2"].served["condemned"] == 0
