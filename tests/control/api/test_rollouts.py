"""Rollouts over HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from control.reports import parse_report
from control.rollout.commands import Verb
from tests.helpers.control import FakeClock, Proxies, run
from tests.helpers.control_server import FORWARDED, put_config, served


async def test_a_command_is_answered_with_what_it_led_to(tmp_path: Path) -> None:
    """When the answer is there, the change is published; the actor is the one the agent has named."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()

        answer = await client.json(
            "POST", "/v1/rollouts/fraud/rollback", {"reason": "users complain"}, headers=FORWARDED
        )

        assert (answer["state"], answer["weight"], answer["reason"]) == ("rolled_back", 0.0, "users complain")
        assert answer["quarantine"]["release"] == "fraud:v2"
        assert answer["commands"] == ["restart"]
        assert plane.ledger.publisher.revision == plane.ledger.revision == 3
        (event,) = (await client.json("GET", "/v1/audit?type=rollout_rolled_back"))["events"]
        assert (event["actor"], event["address"]) == ("alice", "192.0.2.7")
        assert event["details"]["reason"] == "users complain"


@pytest.mark.parametrize(
    ("rollout", "gate", "words"),
    [
        (
            {"freezes": [{"name": "holidays", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}]},
            "freeze",
            "holidays",
        ),
        ({"auto_start": False}, "start", "a person"),
    ],
)
async def test_a_pending_rollout_says_what_it_waits_for(
    tmp_path: Path, rollout: dict[str, Any], gate: str, words: str
) -> None:
    """It has no step yet whose gates could say so."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client, rollout=rollout)
        await plane.loop.tick()

        answer = await client.json("GET", "/v1/rollouts/fraud")

        assert answer["state"] == "pending"
        (found,) = answer["gates"]
        assert (found["name"], found["met"]) == (gate, False)
        assert words in found["text"]


async def test_whoever_opens_the_socket_itself_is_local(tmp_path: Path) -> None:
    """An actor is never empty."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()
        await client.json("POST", "/v1/rollouts/fraud/pause")

        (decision,) = (await client.json("GET", "/v1/decisions?limit=1"))["decisions"]
        assert decision["actor"] == "local"


async def test_an_illegal_command_names_the_legal_ones(tmp_path: Path) -> None:
    """409 with the state and what would do; nothing is changed."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()

        answer = await client.json("POST", "/v1/rollouts/fraud/resume", status=409)

        assert answer["error"]["code"] == "illegal_transition"
        assert "progressing" in answer["error"]["message"]
        assert "pause" in answer["error"]["remedy"]
        assert plane.ledger.revision == 2


@pytest.mark.parametrize("path", ["/v1/rollouts/nope", "/v1/rollouts/rest"])
async def test_an_unknown_rollout_is_answered_with_the_names(tmp_path: Path, path: str) -> None:
    """404 that helps."""
    async with served(tmp_path / "db") as (_, client):
        await put_config(client)

        shown = await client.json("GET", path, status=404)
        asked = await client.json("POST", f"{path}/pause", status=404)

        assert "fraud" in shown["error"]["remedy"]
        assert "fraud" in asked["error"]["remedy"]


@pytest.mark.parametrize("body", [{"reason": 7}, {"reason": "x" * 1001}, {"because": "x"}, []])
async def test_a_malformed_command_does_nothing(tmp_path: Path, body: Any) -> None:
    """A misspelt field must not pass for a command without a reason."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()
        await client.json("POST", "/v1/rollouts/fraud/abort", body, status=400)

        assert plane.ledger.records["fraud"].rollout.state.name == "PROGRESSING"


async def test_an_unknown_command_is_no_path(tmp_path: Path) -> None:
    """And a known one takes POST only."""
    async with served(tmp_path / "db") as (_, client):
        await client.json("POST", "/v1/rollouts/fraud/explode", status=404)
        await client.json("GET", "/v1/rollouts/fraud/pause", status=405)


async def test_a_rollout_shows_where_it_stands_and_what_it_waits_for(tmp_path: Path) -> None:
    """Value, interval, threshold, n and why of each guardrail; nothing unknown is shown as zero."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client, rollout={"duration": "60s"})
        await plane.loop.tick()
        fresh = await client.json("GET", "/v1/rollouts/fraud")
        await run(plane, clock, Proxies(failing={"v1": 0.01, "v2": 0.01}), seconds=12)
        shown = await client.json("GET", "/v1/rollouts/fraud")

        assert (fresh["verdict"], fresh["analysis"]) == ("no_data", None)
        assert (shown["state"], shown["step"], shown["weight"]) == ("progressing", 0, 0.1)
        assert shown["verdict"] == "inconclusive"
        assert shown["seconds_left"] == 48.0
        assert [step["weight"] for step in shown["steps"]] == [0.1, 0.5, 1.0]
        assert {gate["name"]: gate["met"] for gate in shown["gates"]}["time"] is False
        findings = {finding["name"]: finding for finding in shown["analysis"]["findings"]}
        rise = findings["error_rate_rise"]
        assert rise["canary"]["n"] > 0
        assert rise["canary"]["low"] <= rise["canary"]["value"] <= rise["canary"]["high"]
        assert rise["needed"] > 0
        assert rise["reason"]
        assert [decision["kind"] for decision in shown["decisions"]] == ["started"]
        by_id = await client.json("GET", f"/v1/rollouts/{shown['id']}")
        assert by_id["id"] == shown["id"]


async def test_past_rollouts_are_listed_and_shown(tmp_path: Path) -> None:
    """What was replaced can still be looked up, by its id."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()
        old = plane.ledger.records["fraud"].rollout.id
        await put_config(client, canary="v3")

        listed = (await client.json("GET", "/v1/rollouts"))["rollouts"]
        everything = (await client.json("GET", "/v1/rollouts?all=true"))["rollouts"]
        shown = await client.json("GET", f"/v1/rollouts/{old}")

        assert [one["canary"] for one in listed] == ["v3"]
        assert [one["id"] for one in everything][1:] == [old]
        assert (shown["state"], shown["current"], shown["commands"]) == ("superseded", False, [])
        assert [one["kind"] for one in shown["decisions"]] == ["superseded", "started"]


async def test_of_many_commands_at_once_one_wins(tmp_path: Path) -> None:
    """Two people who act at the same moment do not both succeed."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()

        async def act(verb: Verb) -> int:
            async with client.session.post(f"http://control/v1/rollouts/fraud/{verb}") as response:
                return response.status

        verbs = [Verb.ROLLBACK, Verb.ABORT, Verb.PROMOTE, Verb.ABORT]
        answers = await asyncio.gather(*(act(verb) for verb in verbs))
        kinds = [one["kind"] for one in (await client.json("GET", "/v1/decisions"))["decisions"]]

        assert answers.count(200) == len(kinds) - 1
        assert len(kinds) <= 3
        assert kinds[0] in {"rolled_back", "aborted"}


async def test_a_route_that_waits_for_counts_says_no_data(tmp_path: Path) -> None:
    """Not zero, not null without a word."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()
        await plane.controller.take(parse_report(Proxies().report()))
        await plane.loop.tick()

        status = await client.json("GET", "/v1/status")
        for variant in status["routes"][0]["variants"]:
            assert variant["last_minute"]["state"] == "no_data"
            assert variant["last_minute"]["latency"]["state"] == "no_data"
            assert variant["observed_weight"] is None
