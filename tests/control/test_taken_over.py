"""Two control processes on one PostgreSQL: when the leader is killed the other goes on where it was."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.helpers import postgres
from tests.helpers.control import Proxies, config_body, configuration
from tests.helpers.control_process import ControlProcess
from tests.helpers.control_server import Client
from tests.helpers.waiting import until_async

PLAN = configuration(
    steps=["10%", "50%", "100%"],
    rollout={"duration": "2s", "interval": "0.2s", "guardrails": []},
)


@pytest.mark.slow
async def test_a_standby_goes_on_where_a_killed_leader_was(tmp_path: Path) -> None:
    """Revisions rise, no decision is there twice, and counts are neither lost nor doubled."""
    if not postgres.available():
        pytest.skip("PostgreSQL is not installed")
    proxies = Proxies(failing={"v1": 0.01, "v2": 0.01})
    with postgres.server() as place:
        url = postgres.create_database(place, "shared")
        first, second = (_process(tmp_path, name, url) for name in ("first", "second"))
        await first.start()
        await second.start()
        try:
            async with first.client() as client:
                await client.json("PUT", "/v1/config", config_body(PLAN))
                before = await _until_step(client, proxies, 1)
            async with second.client() as client:
                answer = await client.json("GET", "/v1/status", status=503)
                assert answer["error"]["code"] == "standby"
                assert "leads (term 1)" in answer["error"]["message"]

            await first.kill()
            killed = time.monotonic()
            await until_async(lambda: _leads(second), seconds=60)
            took = time.monotonic() - killed
            async with second.client() as client:
                table = await _table(client)
                assert table["revision"] >= before["revision"]
                await first.start()
                async with first.client() as former:
                    answer = await former.json("GET", "/v1/status", status=503)
                    assert "leads (term 2)" in answer["error"]["message"]
                after = await _until_step(client, proxies, 2)
                counted = await _counted(client)
                decisions = (await client.json("GET", "/v1/decisions?limit=100"))["decisions"]
        finally:
            await first.kill()
            await second.kill()

    print(f"the standby leads {took:.1f} s after the leader was killed")
    assert after["revision"] > before["revision"]
    assert counted == {name: proxies.counted(name) for name in ("v1", "v2")}
    kinds = [decision["kind"] for decision in reversed(decisions)]
    assert kinds[:3] == ["started", "advanced", "advanced"]
    assert len({decision["id"] for decision in decisions}) == len(decisions)
    revisions = [decision["revision"] for decision in reversed(decisions)]
    assert revisions == sorted(set(revisions))


def _process(folder: Path, name: str, url: str) -> ControlProcess:
    state = folder / name / "state"
    state.mkdir(parents=True)
    return ControlProcess(state, tick=0.2, database=url)


async def _leads(process: ControlProcess) -> bool:
    # Its socket is another one for a leader, and for a moment there is none.
    with contextlib.suppress(aiohttp.ClientError):
        async with process.client() as client, client.session.get("http://control/v1/status") as answer:
            return answer.status == 200
    return False


async def _table(client: Client) -> dict[str, Any]:
    """The table that is published now."""
    async with client.session.get("http://control/v1/watch?revision=0") as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                found: dict[str, Any] = orjson.loads(line[6:])
                return found
    raise AssertionError("nothing is published")


async def _until_step(client: Client, proxies: Proxies, step: int) -> dict[str, Any]:
    """Serve and report until the rollout is at a step; the table then."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        nonlocal found
        found = await _table(client)
        proxies.serve(found, 50)
        await client.json("POST", "/v1/statistics", proxies.report(revision=found["revision"]))
        rollout = await client.json("GET", "/v1/rollouts/fraud")
        return bool(rollout["step"] >= step)

    await until_async(there, seconds=60)
    return found


async def _counted(client: Client) -> dict[str, int]:
    status = await client.json("GET", "/v1/status")
    (variants,) = [route["variants"] for route in status["routes"] if route["name"] == "fraud"]
    return {variant["name"]: variant["total"]["requests"] for variant in variants}
