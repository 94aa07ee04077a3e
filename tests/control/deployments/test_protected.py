"""A deployment cannot bring to a protected route what nobody has approved; taking it off asks nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.schema import Config
from control.audit.events import Origin
from control.deployments.deployment import Deployment
from control.deployments.service import Act
from control.deployments.states import Status
from control.errors import ConflictError
from control.plane import Plane
from tests.helpers.control import ALICE, FakeClock, configuration, configure, plane_on
from tests.helpers.registry import People, draft

PEOPLE = People(*(Origin(actor=name) for name in ("alice", "bob", "carol", "dave")))


@asynccontextmanager
async def protected(path: Path) -> AsyncIterator[tuple[Plane, FakeClock]]:
    """The route `rest` takes what is in production; v1 is, v3 is registered only."""
    config = configuration(ramped=False).to_json()
    rest = config["routes"][1] | {"protected": "production"}
    clock = FakeClock()
    async with plane_on(path / "db", clock) as plane:
        shelf = plane.controller.shelf
        for version in ("1.0.0", "3.0.0"):
            await shelf.registry.register(draft(version), PEOPLE.alice)
            await shelf.registry.promote(f"fraud:{version}", "staging", PEOPLE.alice)
        await shelf.registry.promote("fraud:1.0.0", "production", ALICE, break_glass=True, reason="the first")
        await configure(plane, Config.from_json(config | {"routes": [config["routes"][0], rest]}))
        yield plane, clock


async def deploy(plane: Plane, strategy: str = "direct") -> Deployment:
    body = {"route": "rest", "strategy": strategy, "upstream": "v3"}
    return await plane.loop.deployments.create(body, ALICE)


async def approve(plane: Plane) -> str:
    """Alice asks, Bob agrees."""
    approvals = plane.controller.shelf.approvals
    asked = await approvals.request("fraud:3.0.0", "production", PEOPLE.alice, justification="better")
    await approvals.vote(asked.id, PEOPLE.bob, approves=True)
    return asked.id


def release(plane: Plane) -> str:
    """What the route serves."""
    table = plane.ledger.table
    assert table is not None
    split = next(route for route in table["routes"] if route["name"] == "rest")["split"]
    number = split["arms"][split["weights"].index(1.0)]
    return str(table["upstreams"][table["arms"][number]["upstream"]]["release"])


@pytest.mark.parametrize("strategy", ["direct", "blue_green", "canary", "rolling"])
async def test_what_is_not_approved_is_refused_when_it_is_asked_for(tmp_path: Path, strategy: str) -> None:
    """The error says who is missing; nothing is recorded."""
    async with protected(tmp_path) as (plane, _):
        with pytest.raises(ConflictError, match=r"fraud:3\.0\.0 is not approved for production: nobody has"):
            await deploy(plane, strategy)
        await plane.loop.tick()
        assert plane.ledger.deployments == {}
        assert release(plane) == "fraud:v1"


async def test_what_is_approved_is_taken_and_going_back_asks_nobody(tmp_path: Path) -> None:
    """Also when the approval has expired by then."""
    async with protected(tmp_path) as (plane, clock):
        await approve(plane)
        made = await deploy(plane)
        await plane.loop.tick()
        assert release(plane) == "fraud:v3"
        clock.now += 365 * 86_400
        await plane.loop.tick()
        assert release(plane) == "fraud:v3"
        await plane.loop.deployments.act(made.id, Act.ROLLBACK, "worse", ALICE)
        assert release(plane) == "fraud:v1"


async def test_an_approval_that_lapses_before_the_start_cancels_it(tmp_path: Path) -> None:
    """The deployment says why; others go on, and the tick does not fail again and again."""
    async with protected(tmp_path) as (plane, _):
        asked = await approve(plane)
        made = await deploy(plane)
        await plane.controller.shelf.approvals.vote(asked, PEOPLE.carol, approves=False, reason="wait")
        for _ in range(2):
            await plane.loop.guarded_tick()
        assert plane.loop.failures == 0
        ended = await plane.loop.deployments.get(made.id)
        assert ended.status is Status.CANCELLED
        assert "not approved for production" in ended.reason
        assert release(plane) == "fraud:v1"


async def test_breaking_the_glass_lets_it_in_until_somebody_objects(tmp_path: Path) -> None:
    """It leaves a task; an objection takes the permission back for the next time."""
    async with protected(tmp_path) as (plane, _):
        shelf = plane.controller.shelf
        await shelf.registry.promote(
            "fraud:3.0.0", "production", ALICE, break_glass=True, reason="v1 is down"
        )
        await shelf.registry.rollback("fraud", ALICE)
        made = await deploy(plane)
        await plane.loop.tick()
        assert release(plane) == "fraud:v3"
        task = next(each for each in await shelf.tasks.all() if each["release"] == "fraud:3.0.0")
        await shelf.tasks.review(task["id"], PEOPLE.bob, accept=False, reason="it was not down")
        await plane.loop.deployments.act(made.id, Act.ROLLBACK, "", ALICE)
        assert release(plane) == "fraud:v1"
