"""Tests of the families on /metrics: documented, described, and bounded."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import Metric

from tests.helpers.agents import AgentProcess, agent_task
from tests.helpers.configurations import configuration
from tests.helpers.control_stand_in import control_stand_in
from tests.helpers.metrics import parse_openmetrics, promtool
from tests.helpers.tables import table_for

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(headgate_\w+)` \| (\w+) \| ([\w, ]*) ?\| .+ \|$", re.MULTILINE)
SUFFIXES = {"counter": "_total", "info": "_info"}


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """A ready agent with control, of two workers, that has refused an admin request."""
    async with (
        control_stand_in(tmp_path / "c.sock") as control,
        agent_task(tmp_path, shadowed()) as agent,
    ):
        control.publish(table_for(agent.config, 1))
        await agent.start(control=control.socket)
        await agent.ready()
        await agent.get("/v1/watch")
        yield agent


def shadowed() -> str:
    """Two workers, and a shadow with its noise floor."""
    value = yaml.safe_load(configuration(workers=2))
    value["routes"][0]["shadows"] = [{"upstream": "v2", "noise": "1%"}]
    return str(yaml.safe_dump(value, sort_keys=False))


async def families(agent: AgentProcess) -> list[Metric]:
    """Our own families."""
    _, text = await agent.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    return [family for family in parse_openmetrics(text.encode()) if family.name.startswith("headgate_")]


async def test_every_family_is_documented_as_it_is(agent: AgentProcess) -> None:
    """docs/metrics.md names each family with its type and labels, and no family that is gone."""
    documented = {
        name: (
            "info" if name.endswith("_info") else kind,
            {label for label in labels.strip().split(", ") if label},
        )
        for name, kind, labels in ROW.findall(DOCUMENT.read_text("utf-8"))
    }

    served = {
        family.name + SUFFIXES.get(family.type, ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"}
            # What is about certificates has nothing to tell here.
            or documented[family.name + SUFFIXES.get(family.type, "")][1],
        )
        for family in await families(agent)
    }

    assert served == documented


async def test_the_documented_alerts_are_valid(agent: AgentProcess, tmp_path: Path) -> None:
    """promtool accepts the alerts, and each one watches families that are there."""
    rules = tmp_path / "rules.yml"
    rules.write_text(re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)[-1])

    assert await promtool("check", "rules", str(rules)) == ""
    served = {family.name + SUFFIXES.get(family.type, "") for family in await families(agent)}
    watched = set(re.findall(r"headgate_\w+", rules.read_text()))
    assert watched
    assert watched <= served


async def test_every_family_is_described(agent: AgentProcess) -> None:
    """A help text is a sentence."""
    for family in await families(agent):
        assert family.documentation[0].isupper(), family.name
        assert family.documentation.endswith("."), family.name


async def test_an_arm_costs_a_bounded_number_of_series(agent: AgentProcess) -> None:
    """One arm is fewer than a hundred series, whatever it has counted."""
    await agent.tell("count v1 50")

    of_stable = [
        sample
        for family in await families(agent)
        for sample in family.samples
        if sample.labels.get("role") == "stable"
    ]

    assert 60 < len(of_stable) < 100


async def test_histograms_hold_every_success_once(agent: AgentProcess) -> None:
    """Buckets are cumulative and end with all successes."""
    await agent.tell("count v1 50")
    await agent.tell("count v1 7 reset")

    (histogram,) = [
        family for family in await families(agent) if family.name == "headgate_request_duration_seconds"
    ]

    buckets = [
        sample.value
        for sample in histogram.samples
        if sample.labels["role"] == "stable" and sample.name.endswith("_bucket")
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 50
