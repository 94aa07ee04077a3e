"""Control's families as a scraper reads them."""

import asyncio
import shutil
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from control.rollout.commands import Verb
from tests.helpers.control import ALICE, FakeClock, Proxies, run
from tests.helpers.control_server import put_config, served

LABELS = ("route", "guardrail", "kind", "state", "verdict")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def values(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in plain(text)
        for sample in family.samples
    }


async def scrape(path: Path) -> str:
    clock = FakeClock()
    async with served(path, clock) as (plane, client):
        await put_config(client, rollout={"duration": "60s"})
        await run(plane, clock, Proxies(failing={"v2": 0.05}), seconds=15)
        text, _ = await client.text("/metrics")
    return text


async def test_a_scrape_shows_rollouts_guardrails_and_the_loop(tmp_path: Path) -> None:
    """State, weight, evidence and verdict of each, and whether the loop is well."""
    found = values(await scrape(tmp_path / "db"))

    assert found["headgate_rollout_state", "fraud", "progressing"] == 1
    assert sum(value for key, value in found.items() if key[0] == "headgate_rollout_state") == 1
    assert found["headgate_rollout_weight", "fraud"] == 0.1
    assert found["headgate_guardrail_e_value", "fraud", "error_rate_rise"] > 0
    judged = ("headgate_guardrail_verdict", "fraud", "error_rate_rise")
    verdicts = [value for key, value in found.items() if key[:3] == judged]
    assert sorted(verdicts) == [0, 0, 0, 1]
    assert found["headgate_rollout_e_value_threshold", "fraud"] == 100
    assert found["headgate_decisions_total", "started"] == 1
    assert found["headgate_decisions_total", "rolled_back"] == 0
    assert found["headgate_audit_events_total",] == 6
    assert found["headgate_tick_failures_total",] == 0
    assert found["headgate_statistics_received_total",] == 15


async def test_a_rollback_shows(tmp_path: Path) -> None:
    """An alert on it needs no more than this."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client)
        await plane.loop.tick()
        await plane.controller.command("fraud", Verb.ROLLBACK, "bad", ALICE)
        found = values((await client.text("/metrics"))[0])

    assert found["headgate_rollout_state", "fraud", "rolled_back"] == 1
    assert found["headgate_rollout_weight", "fraud"] == 0
    assert found["headgate_decisions_total", "rolled_back"] == 1
    assert found["headgate_quarantined_releases",] == 1


async def test_openmetrics_is_spoken_to_those_who_ask(tmp_path: Path) -> None:
    """The strict parser reads it to its end."""
    async with served(tmp_path / "db") as (_, client):
        await put_config(client)
        text, response = await client.text("/metrics", headers={"Accept": OPENMETRICS})

    assert response.content_type == "application/openmetrics-text"
    assert text.endswith("# EOF\n")
    names = {family.name for family in openmetrics(text)}  # type: ignore[no-untyped-call]
    assert names >= {"headgate_decisions", "headgate_tick_seconds"}


async def test_promtool_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    """Names, units and help texts follow the rules."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    text = await scrape(tmp_path / "db")

    checked = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    async with asyncio.timeout(60):
        said, _ = await checked.communicate(text.encode())

    assert (checked.returncode, said.decode()) == (0, "")
