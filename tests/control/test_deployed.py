"""The log tells when a release begins to take requests, and who had agreed to it."""

from __future__ import annotations

from pathlib import Path

import orjson

from control.audit.events import Origin
from control.rollout.commands import Verb
from control.store.engine import Store
from tests.helpers.audit import everything
from tests.helpers.control import FakeClock, configuration, configure, plane_on
from tests.helpers.registry import draft

ALICE, BOB = Origin(actor="alice"), Origin(actor="bob")


async def events(store: Store, kind: str) -> list[tuple[str, str, list[str]]]:
    """Release, route and approvers of the events of this kind."""
    rows = [orjson.loads(record.body) for record in await everything(store)]
    return [
        (row["resource_id"], row["details"]["route"], row["details"].get("approved_by", []))
        for row in rows
        if row["type"] == kind
    ]


async def test_a_release_that_begins_to_take_requests_is_told_once(tmp_path: Path) -> None:
    """At its first weight, not before; a rollback tells that it is out again."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        shelf = plane.controller.shelf
        # Registered under another spelling of the version; the approval is found all the same.
        asked = await shelf.registry.register(draft("2.0.0"), ALICE)
        request = await shelf.approvals.request(asked.label, "production", ALICE, justification="better")
        await shelf.approvals.vote(request.id, BOB, approves=True)
        await configure(plane, configuration(release="fraud:v2", rollout={"preset": "aggressive"}))
        store = plane.ledger.store
        assert await events(store, "model_deployed") == [("fraud:v1", "fraud", []), ("fraud:v1", "rest", [])]

        await plane.loop.tick()
        await plane.loop.tick()
        assert (await events(store, "model_deployed"))[2:] == [("fraud:v2", "fraud", ["bob"])]
        told = [orjson.loads(record.body) for record in await everything(store)]
        (deployed,) = [row["details"] for row in told if row["resource_id"] == "fraud:v2"]
        assert (deployed["approval"], deployed["requested_by"]) == (request.id, "alice")

        await plane.controller.command("fraud", Verb.ROLLBACK, "it is wrong", BOB)
        assert await events(store, "model_rolled_back") == [("fraud:v2", "fraud", [])]
        assert len(await events(store, "model_deployed")) == 3
    async with plane_on(tmp_path / "db", clock) as plane:
        await plane.loop.tick()
        assert len(await events(plane.ledger.store, "model_deployed")) == 3
