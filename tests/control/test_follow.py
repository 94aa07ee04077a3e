"""Aliases and approvals where traffic moves: one table follows an alias, a protected route refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from config.schema import Config
from control.audit.events import Origin
from control.configuration import ConfigurationError
from control.plane import Plane
from control.registry.plans import plan_of
from control.store.audit_search import AuditFilter, page
from tests.helpers.control import ALICE, FakeClock, configure, plane_on
from tests.helpers.registry import draft

BOB = Origin(actor="bob")


def by_alias(**more: Any) -> Config:
    """A route to whatever `fraud@prod` stands for, with two upstreams that say which release they are."""
    return Config.from_json(
        {
            "listeners": [{"bind": "127.0.0.1:0"}],
            "upstreams": {
                "v1": {"endpoints": ["http://127.0.0.1:9001"], "release": "fraud:1.0.0"},
                "v2": {"endpoints": ["http://127.0.0.1:9002"], "release": "fraud:2.0.0"},
                "live": {"release": "fraud@prod"},
            },
            "routes": [
                {"name": "fraud", "match": {"path_prefix": "/v2"}, "upstream": "live", **more},
                {"name": "rest", "upstream": "v1"},
            ],
        }
    )


def canary(release: str, *, steps: list[str] | None = None) -> Config:
    """A protected route with a canary of *release* beside fraud:1.0.0."""
    return Config.from_json(
        {
            "listeners": [{"bind": "127.0.0.1:0"}],
            "upstreams": {
                "old": {"endpoints": ["http://127.0.0.1:9001"], "release": "fraud:1.0.0"},
                "new": {"endpoints": ["http://127.0.0.1:9002"], "release": release},
            },
            "routes": [
                {
                    "name": "fraud",
                    "protected": "production",
                    "split": {"kind": "canary", "stable": "old", "canary": "new", "key": ["client_address"]},
                    "rollout": {"steps": steps or ["10%", "100%"]},
                }
            ],
        }
    )


async def release(plane: Plane, version: str, **more: Any) -> str:
    """Register a release without asking whether its artifact is there."""
    made = await plane.controller.shelf.registry.register(draft(version, **more), ALICE)
    return made.label


async def grant(plane: Plane, label: str) -> str:
    """Alice asks, bob approves."""
    approvals = plane.controller.shelf.approvals
    asked = await approvals.request(label, "production", ALICE, justification="tested")
    await approvals.vote(asked.id, BOB, approves=True)
    return asked.id


async def to_production(plane: Plane, label: str) -> None:
    """As it should be."""
    await plane.controller.shelf.registry.promote(label, "staging", ALICE)
    await grant(plane, label)
    await plane.controller.shelf.registry.promote(label, "production", ALICE)


def live(plane: Plane) -> tuple[str, list[str]]:
    """Release and addresses that the route has in the table in force."""
    assert plane.ledger.table is not None
    upstream = next(each for each in plane.ledger.table["upstreams"] if each["name"] == "live")
    return upstream["release"], [endpoint["url"] for endpoint in upstream["endpoints"]]


async def test_moving_an_alias_moves_traffic_in_one_table(tmp_path: Path) -> None:
    """Also when another process moved it: the next tick looks. Going back goes the same way."""
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        for version in ("1.0.0", "2.0.0"):
            await release(plane, version)
        await to_production(plane, "fraud:1.0.0")
        revision = await configure(plane, by_alias())
        assert live(plane) == ("fraud:1.0.0", ["http://127.0.0.1:9001"])

        await to_production(plane, "fraud:2.0.0")
        await plane.loop.guarded_tick()

        assert live(plane) == ("fraud:2.0.0", ["http://127.0.0.1:9002"])
        assert plane.ledger.revision == revision + 1
        await plane.loop.guarded_tick()
        assert plane.ledger.revision == revision + 1

        await plane.controller.shelf.registry.rollback("fraud", ALICE)
        await plane.controller.follower.follow()
        assert live(plane)[0] == "fraud:1.0.0"
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        # What was in force is in force again before anything has ticked, under the same revision.
        assert (live(plane)[0], plane.ledger.revision) == ("fraud:1.0.0", revision + 2)


async def test_endpoints_registered_with_a_release_win(tmp_path: Path) -> None:
    """A release may say itself where it answers."""
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        await release(plane, "1.0.0", endpoints=["http://127.0.0.1:9101", "http://127.0.0.1:9102"])
        await to_production(plane, "fraud:1.0.0")

        await configure(plane, by_alias())

        assert live(plane)[1] == ["http://127.0.0.1:9101", "http://127.0.0.1:9102"]


async def test_an_alias_that_stands_for_nothing_is_refused_by_name(tmp_path: Path) -> None:
    """At the start there is nothing to fall back to; later the last release serves on, and it is said."""
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        with pytest.raises(ConfigurationError, match=r"upstreams\.live\.release: fraud@prod stands for no"):
            await configure(plane, by_alias())
        assert plane.ledger.revision == 0
        await release(plane, "1.0.0")
        await to_production(plane, "fraud:1.0.0")
        await configure(plane, by_alias())

        await plane.controller.shelf.registry.archive("fraud:1.0.0", ALICE)
        await plane.loop.guarded_tick()

        assert live(plane)[0] == "fraud:1.0.0"
        assert "stands for no release" in plane.controller.follower.troubles["live"]


async def test_a_protected_route_refuses_what_is_not_approved(tmp_path: Path) -> None:
    """The error says who is missing, and the table before stays in force."""
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        await release(plane, "1.0.0")
        await to_production(plane, "fraud:1.0.0")
        await configure(plane, canary("fraud:1.0.0"))
        before = plane.ledger.table

        with pytest.raises(ConfigurationError, match=r"fraud:2\.0\.0, which is not registered"):
            await configure(plane, canary("fraud:2.0.0"))
        await release(plane, "2.0.0")
        with pytest.raises(ConfigurationError, match="nobody has asked; it takes 1 of: any approver"):
            await configure(plane, canary("fraud:2.0.0"))
        approvals = plane.controller.shelf.approvals
        asked = await approvals.request("fraud:2.0.0", "production", ALICE, justification="x")
        with pytest.raises(ConfigurationError, match="0 of 1 approvals; it waits for any approver but alice"):
            await configure(plane, canary("fraud:2.0.0"))
        assert plane.ledger.table is before

        await approvals.vote(asked.id, BOB, approves=True)
        await configure(plane, canary("fraud:2.0.0"))
        assert plane.ledger.records["fraud"].release == "fraud:2.0.0"


async def test_another_plan_needs_another_look_and_the_same_one_does_not(tmp_path: Path) -> None:
    """What was let in stays in over reloads that leave its plan alone, even when the approval has expired."""
    clock = FakeClock()
    async with plane_on(tmp_path / "headgate.db", clock) as plane:
        for version in ("1.0.0", "2.0.0"):
            await release(plane, version)
        await to_production(plane, "fraud:1.0.0")
        await configure(plane, canary("fraud:1.0.0"))
        await grant(plane, "fraud:2.0.0")
        await configure(plane, canary("fraud:2.0.0"))
        clock.now += 8 * 86400

        config = canary("fraud:2.0.0").to_json() | {"workers": 2}
        await configure(plane, Config.from_json(config))
        with pytest.raises(ConfigurationError, match="is expired"):
            await configure(plane, canary("fraud:2.0.0", steps=["50%", "100%"]))


async def test_the_first_canary_of_a_protected_route_can_be_approved(tmp_path: Path) -> None:
    """The refusal says how: the request is bound to the plan of the file that was refused."""
    plain = canary("fraud:1.0.0").to_json()
    plain["routes"] = [{"name": "fraud", "protected": "production", "upstream": "old"}]
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        for version in ("1.0.0", "2.0.0"):
            await release(plane, version)
        await to_production(plane, "fraud:1.0.0")
        await configure(plane, Config.from_json(plain))
        wanted = canary("fraud:2.0.0")
        with pytest.raises(ConfigurationError) as refused:
            await configure(plane, wanted)
        assert refused.value.errors[0]["remedy"] == (
            "headgate approvals request fraud:2.0.0 --stage production --config FILE, with this configuration"
        )
        approvals = plane.controller.shelf.approvals
        plan = plan_of(wanted.to_json(), "fraud", "production")

        asked = await approvals.request("fraud:2.0.0", "production", ALICE, justification="x", plan=plan)
        await approvals.vote(asked.id, BOB, approves=True)
        with pytest.raises(ConfigurationError, match="the rollout plan changed since"):
            await configure(plane, canary("fraud:2.0.0", steps=["50%", "100%"]))
        await configure(plane, wanted)

        assert plane.ledger.records["fraud"].release == "fraud:2.0.0"
        await plane.loop.guarded_tick()
        assert (await approvals.get(asked.id))["plan_proposed"] is False


async def test_rolling_back_a_protected_route_asks_nobody(tmp_path: Path) -> None:
    """Although what was granted has expired."""
    clock = FakeClock()
    async with plane_on(tmp_path / "headgate.db", clock) as plane:
        for version in ("1.0.0", "2.0.0"):
            await release(plane, version)
        await to_production(plane, "fraud:1.0.0")
        await to_production(plane, "fraud:2.0.0")
        await configure(plane, by_alias(protected="production"))
        clock.now += 8 * 86400

        await plane.controller.shelf.registry.rollback("fraud", ALICE)
        await plane.controller.follower.follow()

        assert live(plane)[0] == "fraud:1.0.0"


async def test_a_protected_route_keeps_its_release_when_an_alias_moves_past_it(tmp_path: Path) -> None:
    """Whoever moved it wrote past the registry; traffic stays, and the refusal is on record, once."""
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        shelf = plane.controller.shelf
        for version in ("1.0.0", "2.0.0"):
            await release(plane, version)
        await to_production(plane, "fraud:1.0.0")
        config = by_alias(protected="production").to_json()
        config["upstreams"]["live"]["release"] = "fraud@champion"
        await shelf.aliases.move("fraud", "champion", "1.0.0", ALICE)
        await configure(plane, Config.from_json(config))
        async with shelf.store.write() as connection:
            await connection.execute(
                text("UPDATE aliases SET release_id=(SELECT id FROM releases WHERE version='2.0.0')")
            )
            await connection.execute(text("UPDATE registry_head SET revision = revision + 1"))

        for _ in range(3):
            await plane.loop.guarded_tick()

        assert live(plane)[0] == "fraud:1.0.0"
        assert "not approved for production" in plane.controller.follower.troubles["live"]
        async with shelf.store.read() as connection:
            found = await page(
                connection, AuditFilter(type="release_refused"), limit=9, after=None, newest_first=False
            )
        assert [each.to_json()["details"]["route"] for each in found] == ["fraud"]
