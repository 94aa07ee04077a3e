"""The agent's line over a real socket: configurations, counts, and the stream of tables."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from control.rollout.commands import Verb
from tests.helpers.control import ALICE, config_body, configuration
from tests.helpers.control_server import FORWARDED, Client, put_config, served
from tests.helpers.counts import arm, report
from tests.helpers.waiting import until


class Stream:
    """A reader of server-sent events that keeps to the standard's framing."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def block(self) -> list[str]:
        """The lines up to the next empty one."""
        lines = []
        while line := (await self._content.readline()).decode().rstrip("\n"):
            lines.append(line)
        return lines

    async def table(self) -> dict[str, Any]:
        """The next event, which must be a table."""
        while True:
            lines = await self.block()
            if not lines:
                raise EOFError
            if lines[0].startswith(":"):
                continue
            fields = dict(line.split(": ", 1) for line in lines)
            assert fields.keys() == {"event", "id", "data"}
            assert fields["event"] == "table"
            table: dict[str, Any] = orjson.loads(fields["data"])
            assert str(table["revision"]) == fields["id"]
            return table


@asynccontextmanager
async def watch(client: Client, revision: int) -> AsyncIterator[Stream]:
    async with client.session.get(f"http://control/v1/watch?revision={revision}") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        stream = Stream(response.content)
        assert (await stream.block()) == [": watching"]
        yield stream


async def test_a_watcher_gets_what_it_lacks_and_then_each_change(tmp_path: Path) -> None:
    """At once when it is behind; a rollback reaches it as the next event."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        async with watch(client, 0) as stream:
            assert (await stream.table())["revision"] == 1
            await plane.loop.tick()
            ramped = await stream.table()
            await plane.controller.command("fraud", Verb.ROLLBACK, "bad", ALICE)
            back = await stream.table()

        assert (ramped["revision"], back["revision"]) == (2, 3)
        assert ramped["routes"][0]["split"]["weights"][0] == 0.1
        assert back["routes"][0]["split"]["weights"][0] == 0.0


async def test_a_watcher_with_the_newest_table_gets_only_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns that the line is up, and nothing twice."""
    monkeypatch.setattr("control.api.link.HEARTBEAT_SECONDS", 0.05)
    async with served(tmp_path / "db") as (_, client):
        await put_config(client)
        async with watch(client, 1) as stream:
            assert [await stream.block() for _ in range(3)] == [[": heartbeat"]] * 3


async def test_a_watcher_that_is_ahead_gets_a_table_that_is_newer_still(tmp_path: Path) -> None:
    """A replaced database must not make every proxy refuse its tables."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        async with watch(client, 500) as stream:
            assert (await stream.table())["revision"] == 501
        assert plane.ledger.revision == 501


async def test_a_watcher_may_come_before_the_first_configuration(tmp_path: Path) -> None:
    """Agent and control start together."""
    async with served(tmp_path / "db") as (_, client), watch(client, 0) as stream:
        await put_config(client)
        assert (await stream.table())["revision"] == 1


async def test_many_watchers_get_every_change_and_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stops reading holds up nobody."""
    monkeypatch.setattr("control.api.link.HEARTBEAT_SECONDS", 0.1)
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)

        async def follow(until: int) -> int:
            async with watch(client, 0) as stream:
                while (revision := (await stream.table())["revision"]) < until:
                    pass
                return int(revision)

        stuck = await client.session.get("http://control/v1/watch?revision=0")
        followers = [asyncio.ensure_future(follow(6)) for _ in range(20)]
        await plane.loop.tick()
        for verb in (Verb.PROMOTE, Verb.ROLLBACK, Verb.RESTART, Verb.ABORT):
            await plane.controller.command("fraud", verb, "test", ALICE)

        assert await asyncio.gather(*followers) == [6] * 20
        stuck.close()
        await until(lambda: plane.ledger.publisher.watchers == 0)


async def test_a_watcher_that_goes_away_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent that was killed leaves nothing behind, and no error in the log."""
    monkeypatch.setattr("control.api.link.HEARTBEAT_SECONDS", 0.05)
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        async with watch(client, 1):
            assert plane.ledger.publisher.watchers == 1
        await until(lambda: plane.ledger.publisher.watchers == 0)

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_the_stream_ends_when_the_process_stops(tmp_path: Path) -> None:
    """Stopping does not wait for watchers; they come back by themselves."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        async with watch(client, 1) as stream:
            plane.ledger.publisher.close()
            async with asyncio.timeout(60):
                with pytest.raises(EOFError):
                    await stream.table()


@pytest.mark.parametrize("query", ["revision=-1", "revision=x", "revision=1e3", "version=1"])
async def test_a_watch_that_is_asked_for_wrongly_is_refused(tmp_path: Path, query: str) -> None:
    """A typing error is not an answer from the beginning."""
    async with served(tmp_path / "db") as (_, client):
        await client.json("GET", f"/v1/watch?{query}", status=400)


async def test_counts_are_taken_in_and_a_repetition_says_so(tmp_path: Path) -> None:
    """Both are fine: the sender need not know which of its reports arrived."""
    async with served(tmp_path / "db") as (_, client):
        await put_config(client)
        body = report(arm("v1", "variant", "s", ok=5, route="rest"))

        assert await client.json("POST", "/v1/statistics", body) == {
            "accepted": 1,
            "stale": 0,
            "dropped": 0,
        }
        assert (await client.json("POST", "/v1/statistics", body))["stale"] == 1


async def test_attempts_stand_in_the_audit_log(tmp_path: Path) -> None:
    """Each kind of them as one event, under the name and address that tried."""
    attempt = {
        "code": "token_wrong",
        "reason": "a token that is not known here",
        "address": "192.0.2.7",
        "actor": "",
        "method": "POST",
        "path": "/-/reload",
        "times": 12,
    }
    async with served(tmp_path / "db") as (_, client):
        body = {"violations": [attempt, attempt | {"code": "role_too_low", "actor": "eve"}]}
        assert await client.json("POST", "/v1/violations", body) == {"written": 2}
        events = (await client.json("GET", "/v1/audit?type=security_violation"))["events"]
        await client.json("POST", "/v1/violations", {"violations": [attempt] * 65}, status=400)
        await client.json("POST", "/v1/violations", {"violations": [{"times": 1}]}, status=400)

    told = {(event["actor"], event["address"], event["details"]["what"]["times"]) for event in events}
    assert told == {("unknown", "192.0.2.7", 12), ("eve", "192.0.2.7", 12)}
    assert {event["severity"] for event in events} == {"critical"}


@pytest.mark.parametrize(
    ("body", "word"),
    [({}, "arms"), ({"arms": []}, "node"), ([], "object"), ("x", "object")],
)
async def test_a_bad_report_is_refused_with_its_place(tmp_path: Path, body: Any, word: str) -> None:
    """One clear error in the one shape."""
    async with served(tmp_path / "db") as (_, client):
        answer = await client.json("POST", "/v1/statistics", body, status=400)

    assert answer["error"].keys() == {"code", "message", "remedy"}
    assert word in answer["error"]["message"]


async def test_a_bad_configuration_is_answered_with_every_fault(tmp_path: Path) -> None:
    """The agent shows them to the operator."""
    body = config_body(configuration())
    body["config"]["routes"][0]["rollout"]["guardrails"] = [{"kind": "horoscope"}]
    async with served(tmp_path / "db") as (_, client):
        answer = await client.json("PUT", "/v1/config", body, status=422)

    (error,) = answer["errors"]
    assert error["path"].startswith("routes.0.rollout.guardrails.0")
    assert "horoscope" in error["problem"]
    assert error["remedy"]


@pytest.mark.parametrize(
    "change", [{"digest": ""}, {"digest": 7}, {"source": 7}, {"revision": "x"}, {"revision": -1}]
)
async def test_a_configuration_with_a_malformed_envelope_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """Nothing is guessed."""
    async with served(tmp_path / "db") as (_, client):
        await client.json("PUT", "/v1/config", config_body(configuration()) | change, status=400)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/config"), ("GET", "/v1/watch"), ("POST", "/v1/statistics"), ("POST", "/v1/violations")],
)
async def test_the_link_is_closed_to_whoever_came_through_the_agent(
    tmp_path: Path, method: str, path: str
) -> None:
    """Even an agent that forwards too much lets nobody invent tables or counts."""
    async with served(tmp_path / "db") as (plane, client):
        await client.json(method, path, config_body(configuration()), status=404, headers=FORWARDED)
        assert plane.ledger.revision == 0
