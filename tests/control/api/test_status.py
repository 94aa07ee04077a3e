"""The status: what the command shows, over a real socket."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from control.reports import parse_report
from proxy.histogram import bucket_index
from tests.helpers.control import FakeClock, Proxies, config_body, configuration, run
from tests.helpers.control_server import put_config, served
from tests.helpers.counts import arm, report


def variants(status: Any, route: str = "fraud") -> dict[str, Any]:
    found = next(one for one in status["routes"] if one["name"] == route)
    return {variant["name"]: variant for variant in found["variants"]}


async def test_before_the_first_configuration_there_is_nothing_to_show(tmp_path: Path) -> None:
    """Empty is a state, not an error."""
    async with served(tmp_path / "db") as (_, client):
        status = await client.json("GET", "/v1/status")

    assert (status["revision"], status["config"], status["routes"], status["rollouts"]) == (0, None, [], [])


async def test_set_weight_stands_beside_observed_weight(tmp_path: Path) -> None:
    """Both are shares; overridden requests are in neither."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client, rollout={"duration": "60s"})
        await plane.loop.tick()
        await run(plane, clock, Proxies(failing={"v2": 0.2}), seconds=20, requests=500)
        status = await client.json("GET", "/v1/status")

    stable, canary = variants(status)["v1"], variants(status)["v2"]
    assert (stable["set_weight"], canary["set_weight"]) == (0.9, 0.1)
    assert canary["observed_weight"] == pytest.approx(0.1, abs=0.01)
    assert stable["observed_weight"] + canary["observed_weight"] == pytest.approx(1.0)
    assert set(stable["roles"]) == {"stable", "control"}
    minute = canary["last_minute"]
    assert minute["requests"] == pytest.approx(1000, abs=150)
    assert minute["failure_rate"] == pytest.approx(0.2, abs=0.05)
    assert minute["requests_per_second"] == pytest.approx(50, abs=10)
    assert minute["latency"]["state"] == "ok"
    assert minute["latency"]["n"] == minute["outcomes"]["ok"]
    assert minute["latency"]["p99"] == pytest.approx(0.020, rel=0.05)
    assert (stable["verdict"], canary["release"]) == ("not_judged", "fraud:v2")
    assert variants(status, "rest")["v1"]["last_minute"]["state"] == "no_data"


async def test_streams_are_shown_where_they_were_looked_at(tmp_path: Path) -> None:
    """A tenth of a second between tokens is ten a second; the page has a table of them."""
    gap, first = 100_000, 400_000
    streamed = {
        "streams": 5,
        "streams_stalled": 1,
        "streams_broken": 2,
        "stream_tokens": 45,
        "sum_token_gap_us": 40 * gap,
        "first_token": [[bucket_index(first), 5]],
        "token_gap": [[bucket_index(gap), 40]],
    }
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client, rollout={"duration": "60s"})
        await plane.loop.tick()
        stage = plane.ledger.records["fraud"].stage
        await plane.controller.take(parse_report(report(arm("v2", "canary", stage, ok=5) | streamed)))
        status = await client.json("GET", "/v1/status")
        page = (await client.text("/"))[0]

    found = variants(status)["v2"]["total"]["streams"]
    assert (found["n"], found["stalled"], found["broken"], found["unread"]) == (5, 1, 2, 0)
    assert found["tokens_per_second"] == pytest.approx(10.0)
    assert found["first_token"]["p50"] == pytest.approx(0.4, rel=0.05)
    assert (found["token_gap"]["n"], found["token_time"]["state"]) == (40, "no_data")
    assert "streams" not in variants(status)["v1"]["total"]
    assert "Streams of tokens in the last" in page


async def test_the_last_minute_forgets_and_the_total_does_not(tmp_path: Path) -> None:
    """A burst an hour ago is not what happens now."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client, rollout={"duration": "600s"})
        proxies = Proxies()
        await run(plane, clock, proxies, seconds=10)
        await run(plane, clock, proxies, seconds=80, requests=0)
        status = await client.json("GET", "/v1/status")

    shown = variants(status)["v1"]
    assert status["routes"][0]["window_seconds"] == pytest.approx(60, abs=6)
    assert shown["last_minute"]["state"] == "no_data"
    assert shown["total"]["requests"] == proxies.counted("v1")


async def test_overridden_requests_are_shown_and_weigh_nothing(tmp_path: Path) -> None:
    """Testers who name the canary do not make it look popular."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client)
        await plane.loop.tick()
        stage = plane.ledger.records["fraud"].stage
        await plane.controller.take(
            parse_report(
                report(
                    arm("v1", "stable", stage, ok=90),
                    arm("v2", "canary", stage, ok=10, overridden=900),
                    revision=2,
                )
            )
        )
        status = await client.json("GET", "/v1/status")

    canary = variants(status)["v2"]
    assert canary["observed_weight"] == 0.1
    assert (canary["last_minute"]["requests"], canary["last_minute"]["overridden"]) == (910, 900)


async def test_it_says_which_table_each_proxy_serves_by(tmp_path: Path) -> None:
    """A rollback has arrived when every node shows its revision."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client)
        await plane.controller.take(parse_report(report(node="a", boot="b1", revision=1)))
        clock.now += 3
        status = await client.json("GET", "/v1/status")

    assert status["nodes"] == [{"node": "a", "boot": "b1", "revision": 1, "heard_seconds_ago": 3.0}]
    assert status["config"]["digest"] == config_body(configuration())["digest"]
    assert status["process"]["store"].endswith("/db")


async def test_a_parameter_it_does_not_know_is_refused(tmp_path: Path) -> None:
    """In one shape, like every error; so are wrong paths and methods."""
    async with served(tmp_path / "db") as (_, client):
        for method, path, status in (
            ("GET", "/v1/status?verbose=1", 400),
            ("GET", "/v1/nothing", 404),
            ("DELETE", "/v1/status", 405),
            ("PUT", "/v1/config", 400),
        ):
            answer = await client.json(method, path, status=status)
            assert answer["error"].keys() == {"code", "message", "remedy"}
            assert all(answer["error"].values())


async def test_a_body_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """Memory has a bound whoever writes to the socket."""
    async with (
        served(tmp_path / "db") as (_, client),
        client.session.post("http://control/v1/statistics", data=BytesIO(b" " * 17 * 2**20)) as response,
    ):
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "body_too_large"
