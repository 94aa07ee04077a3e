"""Decisions and audit events over HTTP."""

import hashlib
from pathlib import Path

import orjson
import pytest

from control.audit.record import SHOWN_BESIDE
from control.rollout.commands import Verb
from tests.helpers.control import ALICE, FakeClock, Proxies, run
from tests.helpers.control_server import Client, put_config, served


async def test_a_decision_by_its_id_has_everything_it_was_made_from(tmp_path: Path) -> None:
    """Analysis, evidence, thresholds, digests: enough to compute it again a year later."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client, rollout={"preset": "aggressive"})
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.4})
        await run(plane, clock, proxies, seconds=200, stop="rolled_back")

        listed = (await client.json("GET", "/v1/decisions?rollout=fraud"))["decisions"]
        shown = await client.json("GET", f"/v1/decisions/{listed[0]['id']}")

    assert [one["kind"] for one in listed] == ["rolled_back", "started"]
    assert "evidence" not in listed[0]
    assert shown["analysis"]["verdict"] == "fail"
    assert shown["analysis"]["culprits"]
    assert len(shown["evidence"]["stages"]) == 1
    assert shown["plan"]["alpha"] == 0.05
    assert shown["plan_source"]["duration"] == 5.0
    assert shown["config_digest"].startswith("sha256:")
    assert shown["at"] == pytest.approx(clock.wall(), abs=1)


async def test_decisions_are_paged(tmp_path: Path) -> None:
    """Each once, newest first."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()
        for verb in (Verb.PAUSE, Verb.RESUME, Verb.PAUSE, Verb.RESUME):
            await plane.controller.command("fraud", verb, "", ALICE)

        seen, path = [], "/v1/decisions?limit=2"
        while True:
            page = await client.json("GET", path)
            seen += [one["kind"] for one in page["decisions"]]
            if page["next"] is None:
                break
            path = f"/v1/decisions?limit=2&before={page['next']}"

    assert seen == ["resumed", "paused", "resumed", "paused", "started"]


async def test_an_unknown_decision_or_event_is_not_found(tmp_path: Path) -> None:
    """404 in the usual shape."""
    async with served(tmp_path / "db") as (_, client):
        await client.json("GET", "/v1/decisions/d-nothing", status=404)
        await client.json("GET", "/v1/audit/e-nothing", status=404)


async def prepare(client: Client) -> None:
    await put_config(client)
    await client.json("POST", "/v1/rollouts/fraud/promote", {"reason": "now"})


async def test_events_are_paged_in_both_orders(tmp_path: Path) -> None:
    """Walking by `next` sees each event once."""
    async with served(tmp_path / "db") as (_, client):
        await prepare(client)

        async def walk(order: str) -> list[int]:
            seen, path = [], f"/v1/audit?limit=2&order={order}"
            while True:
                page = await client.json("GET", path)
                seen += [event["sequence"] for event in page["events"]]
                if page["next"] is None:
                    return seen
                path = f"/v1/audit?limit=2&order={order}&after={page['next']}"

        # A configuration, a rollout, two releases that begin; a promotion, and another one begins.
        assert await walk("oldest") == [1, 2, 3, 4, 5, 6]
        assert await walk("newest") == [6, 5, 4, 3, 2, 1]


async def test_events_are_filtered(tmp_path: Path) -> None:
    """By type, actor, severity, resource and time; a misspelt filter is refused, not ignored."""
    async with served(tmp_path / "db") as (plane, client):
        await prepare(client)
        rollout = plane.ledger.records["fraud"].rollout.id

        async def count(query: str) -> int:
            return len((await client.json("GET", f"/v1/audit?{query}"))["events"])

        assert await count("type=rollout_created") == 1
        assert await count("actor=local") == 6
        assert await count("actor=nobody") == 0
        assert await count("severity=info") == 3
        assert await count("type=model_deployed&severity=warning") == 3
        assert await count("resource=rollout") == 2
        assert await count(f"resource=rollout:{rollout}") == 2
        assert await count("resource=rollout:other") == 0
        assert await count("since=1600000000&until=1600000001") == 0
        assert await count("since=1600000000") == 6
        for query in ("kind=x", "limit=0", "limit=5000", "after=-1", "order=up", "since=yesterday"):
            await client.json("GET", f"/v1/audit?{query}", status=400)


async def test_an_event_can_be_checked_against_its_leaf_hash(tmp_path: Path) -> None:
    """Whoever has the event has the bytes that were hashed: its canonical JSON, without what is beside it."""
    async with served(tmp_path / "db") as (_, client):
        await prepare(client)
        (event, *_) = (await client.json("GET", "/v1/audit"))["events"]
        again = await client.json("GET", f"/v1/audit/{event['id']}")

    stored = orjson.dumps(
        {key: value for key, value in event.items() if key not in SHOWN_BESIDE},
        option=orjson.OPT_SORT_KEYS,
    )
    assert again == event
    assert hashlib.sha256(b"\0" + stored).hexdigest() == event["leaf_hash"]
