"""kill -9 at any moment: no decision lost, none twice, nothing half done."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.helpers.control import Proxies, config_body, configuration
from tests.helpers.control_process import ControlProcess
from tests.helpers.control_server import Client

QUICK = {"duration": "0.1s", "interval": "0.05s"}
# Without guardrails time alone decides, so that the loop has something to decide in every life.
PLANS = [
    configuration(steps=["10%", "20%", "50%", "100%"], rollout={**QUICK, "guardrails": []}),
    configuration(steps=["10%", "30%"], rollout={**QUICK, "guardrails": []}),
    configuration(steps=["1%", "2%", "3%", "4%", "5%"], rollout={**QUICK, "guardrails": []}),
    configuration(canary="v3", rollout={**QUICK, "preset": "aggressive"}),
]
VERBS = ["promote", "pause", "resume", "abort", "rollback", "restart", "restart", "restart"]


class World:
    """A proxy and a person, who remember what they were told."""

    def __init__(self, process: ControlProcess, seed: int) -> None:
        self.process = process
        self.random = random.Random(seed)
        self.proxies = Proxies(seed, failing={"v1": 0.01, "v2": 0.02, "v3": 0.2})
        self.table: dict[str, Any] | None = None
        self.acknowledged: list[tuple[str, str]] = []
        self.life = 0

    async def live(self, seconds: float) -> None:
        """Be busy until the process is killed, after so many seconds."""
        self.life += 1
        async with self.process.client() as client:
            tasks = [asyncio.ensure_future(work(client)) for work in (self.watch, self.count, self.act)]
            await asyncio.sleep(seconds)
            await self.process.kill()
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, AssertionError):
                    raise result

    async def watch(self, client: Client) -> None:
        known = 0 if self.table is None else self.table["revision"]
        async with client.session.get(f"http://control/v1/watch?revision={known}") as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    table = orjson.loads(line[6:])
                    assert table["revision"] > known, "a table that is not newer was published"
                    self.table, known = table, table["revision"]

    async def count(self, client: Client) -> None:
        while True:
            if self.table is not None:
                self.proxies.serve(self.table, 60)
                await client.json(
                    "POST", "/v1/statistics", self.proxies.report(revision=self.table["revision"])
                )
            await asyncio.sleep(0.02)

    async def act(self, client: Client) -> None:
        while True:
            if self.random.random() < 0.2 or self.table is None:
                await client.json("PUT", "/v1/config", config_body(self.random.choice(PLANS)))
            else:
                await self.command(client, self.random.choice(VERBS))
            await asyncio.sleep(self.random.uniform(0.0, 0.5))

    async def command(self, client: Client, verb: str) -> None:
        reason = f"order {len(self.acknowledged)} of life {self.life}"
        try:
            async with client.session.post(
                f"http://control/v1/rollouts/fraud/{verb}", json={"reason": reason}
            ) as response:
                assert response.status in (200, 404, 409), await response.text()
                if response.status == 200:
                    self.acknowledged.append((verb, reason))
        except (aiohttp.ClientError, OSError):
            return


def check(database: sqlite3.Connection, world: World) -> None:
    """What must hold in the database at any moment."""
    rows = [
        orjson.loads(body) for (body,) in database.execute("SELECT body FROM audit_events ORDER BY sequence")
    ]
    (size,) = database.execute("SELECT size FROM audit_head").fetchone()
    assert [row["sequence"] for row in rows] == list(range(1, size + 1))

    decisions = [orjson.loads(body) for (body,) in database.execute("SELECT body FROM decisions ORDER BY id")]
    told = [
        row["details"]["decision"]
        for row in rows
        if "decision" in row["details"] and row["resource_type"] == "rollout"
    ]
    assert sorted(told) == [decision["id"] for decision in decisions]

    # Each change begins where the last one of the same rollout ended: none is missing or doubled.
    by_rollout: dict[str, list[dict[str, Any]]] = {}
    for decision in decisions:
        by_rollout.setdefault(decision["rollout"], []).append(decision)
    for chain in by_rollout.values():
        assert all(before["to_state"] == after["from_state"] for before, after in pairwise(chain))
    moves: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if "to_weight" in row["details"]:
            moves.setdefault(row["resource_id"], []).append(row["details"])
    for path in moves.values():
        for before, after in pairwise(path):
            assert (before["to_step"], before["to_weight"]) == (after["from_step"], after["from_weight"])

    # An order that was confirmed is on record once; one that was not, at most once.
    reasons = [decision["reason"] for decision in decisions]
    for _, reason in world.acknowledged:
        assert reasons.count(reason) == 1
    assert len({reason for reason in reasons if reason.startswith("order")}) == len(
        [reason for reason in reasons if reason.startswith("order")]
    )

    routes = database.execute("SELECT route, state, stage, id FROM rollouts WHERE current").fetchall()
    assert len(routes) == len({route for route, *_ in routes})
    newest = database.execute("SELECT revision, body FROM tables ORDER BY revision DESC LIMIT 1").fetchone()
    if newest is None:
        return
    revision, table = newest[0], orjson.loads(newest[1])
    assert world.table is None or world.table["revision"] <= revision
    for _, state, stage, rollout in routes:
        assert {arm["stage"] for arm in table["arms"] if arm["route"] == "fraud"} == {stage}
        weight = table["routes"][0]["split"]["weights"][0]
        assert weight == (moves[rollout][-1]["to_weight"] if rollout in moves else 0.0)
        assert state == (by_rollout[rollout][-1]["to_state"] if rollout in by_rollout else "pending")


async def fight(state: Path, *, kills: int, seed: int) -> World:
    process = ControlProcess(state, tick=0.05)
    world = World(process, seed)
    try:
        for _ in range(kills):
            await process.start()
            await world.live(world.random.uniform(0.02, 1.2))
            database = process.database()
            check(database, world)
            database.close()
    finally:
        await process.kill()
    return world


async def test_killed_while_it_decides(tmp_path: Path) -> None:
    """A few times here, a hundred in the slow suite."""
    world = await fight(tmp_path / "state", kills=3, seed=7)

    assert world.acknowledged
    assert world.table is not None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_killed_a_hundred_times(tmp_path: Path, seed: int) -> None:
    """Twenty-five lives each, with other orders and other moments."""
    world = await fight(tmp_path / "state", kills=25, seed=100 + seed)

    assert len(world.acknowledged) > 5
