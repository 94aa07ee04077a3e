"""Shadows over HTTP, and the step of a rollout that waits for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.schema import Config
from control.loop import Loop
from control.plane import Plane
from control.report_values import ReportError
from control.reports import parse_report
from control.rollout.machine import State
from tests.helpers.control import FakeClock, Proxies, configuration, plane_on
from tests.helpers.control import configure as bring
from tests.helpers.control_server import served
from tests.helpers.pairs import comparison, copies

STEP = {"shadow": "v2", "agreement": "99%", "latency_ratio": 1.5}


def with_shadow(*steps: Any) -> Config:
    """The test configuration with a shadow on the canary's upstream, and its noise floor."""
    value = configuration(steps=list(steps) or ["10%", "100%"]).to_json()
    value["routes"][0]["shadows"] = [{"upstream": "v2", "share": "50%", "noise": "1%"}]
    return Config.from_json(value)


async def say(plane: Plane, *, agree: int, differ: int = 0, role: str = "shadow", **more: Any) -> None:
    """Report so many pairs, as cumulative counts of one boot."""
    key = next(key for key in plane.ledger.shadow_keys() if key.role == role)
    body = {
        "node": "n",
        "boot": "b",
        "sequence": 1,
        "revision": plane.ledger.revision,
        "arms": [],
        "shadows": [copies(key, sent=agree + differ, sampled_out=7)],
        "comparisons": [comparison(key, agree=agree, differ=differ)],
        **more,
    }
    await plane.controller.take(parse_report(body))


async def test_the_guardrail_is_fed_with_pairs_and_noise(tmp_path: Path) -> None:
    """What shadows have shown reaches the analysis of the rollout, each look once."""
    config = with_shadow("10%", "100%").to_json()
    config["routes"][0]["rollout"]["guardrails"] = [{"kind": "shadow_agreement", "max": "2%"}]
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await bring(plane, Config.from_json(config))
        proxies = Proxies()
        for _ in range(4):
            await rollout_of(plane, clock, plane.loop)
            assert plane.ledger.table is not None
            proxies.serve(plane.ledger.table, 50)
            arms = proxies.report()["arms"]
            await say(plane, agree=180, differ=20, arms=arms)
            await say(plane, agree=49, differ=1, role="noise", arms=arms)
        await rollout_of(plane, clock, plane.loop)
        analysis = plane.ledger.records["fraud"].analysis

    assert analysis is not None
    (finding,) = (f for f in analysis.findings if f.kind == "shadow_agreement")
    assert (finding.canary.events, finding.canary.n) == (20, 200)
    assert (finding.control.events, finding.control.n) == (1, 50)


async def test_a_shadow_is_shown_with_all_it_has_counted(tmp_path: Path) -> None:
    """One by its name, all in a list, the noise floor apart."""
    async with served(tmp_path / "db") as (plane, client):
        await bring(plane, with_shadow())
        await say(plane, agree=90, differ=10)
        await say(plane, agree=50, role="noise")

        listed = (await client.json("GET", "/v1/shadows"))["shadows"]
        shown = await client.json("GET", "/v1/shadows/fraud/v2")
        await client.json("GET", "/v1/shadows/fraud/v9", status=404)
        metrics, _ = await client.text("/metrics")
        page, _ = await client.text("/")

    assert listed == [shown]
    assert shown["upstream"] == "v2"
    assert shown["share"] == 0.5
    assert shown["requests"]["eligible"] == 107
    assert shown["requests"]["skipped_by_reason"] == {"sampled_out": {"1KiB": 7}}
    assert shown["requests"]["held_or_lost"] == 0
    agreement = shown["agreement"]
    assert (agreement["rate"], agreement["compared"]) == (0.9, 100)
    assert agreement["sequence"][0] < agreement["wilson"][0] < 0.9
    assert agreement["wilson"][1] < agreement["sequence"][1]
    assert shown["latency"]["primary"]["p50"] == pytest.approx(0.01, rel=0.03)
    assert shown["latency"]["shadow"]["mean"] == pytest.approx(0.01)
    ratio = shown["latency"]["ratio"]
    assert ratio["interval"][0] <= ratio["median"] <= ratio["interval"][1]
    assert shown["differences"]["paths"] == [{"path": "/outputs/*/data/*", "kind": "number", "pairs": 10}]
    sample = {"path": "/outputs/*/data/*", "kind": "number"}
    assert shown["samples"] == [{"request_id": "r1", "differences": [sample]}]
    assert shown["noise_floor"]["agreement"]["compared"] == 50
    line = 'headgate_shadow_agreeing_answers_total{role="shadow",route="fraud",shadow="v2"} 90.0'
    assert line in metrics
    assert "/outputs/*/data/*" in page


async def test_other_rules_are_another_comparison_that_no_gate_mixes(tmp_path: Path) -> None:
    """In the middle of a rollout: counts begin anew, and what the earlier rules found is kept beside them."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await bring(plane, with_shadow(STEP, "10%", "100%"))
        await rollout_of(plane, clock, plane.loop)
        await say(plane, agree=90, differ=2)
        value = with_shadow(STEP, "10%", "100%").to_json()
        value["routes"][0]["shadows"][0]["compare"] = {"json": {"ignore": ["/outputs/0/data"]}}
        await bring(plane, Config.from_json(value))
        await rollout_of(plane, clock, plane.loop)
        fresh = await client.json("GET", "/v1/shadows/fraud/v2")
        await say(plane, agree=1200)
        passed = await rollout_of(plane, clock, plane.loop)
        events = (await client.json("GET", "/v1/audit"))["events"]
        page, _ = await client.text("/")

    assert fresh["agreement"]["compared"] == 0
    assert fresh["gate"]["figures"]["compared"] == 0
    (earlier,) = fresh["earlier"]
    assert (earlier["agreement"]["compared"], earlier["agreement"]["agreed"]) == (92, 90)
    assert earlier["began"] < earlier["ended"] == fresh["began"]
    assert passed is State.PROGRESSING
    decided = next(event for event in events if event["type"] == "shadow_gate_decided")
    assert (decided["details"]["compared"], decided["details"]["disagreed"]) == (1200, 0)
    assert "97.83 % of 92" in page


async def test_shadows_that_begin_and_end_are_in_the_log(tmp_path: Path) -> None:
    """In the transaction of the configuration that asked for it."""
    async with served(tmp_path / "db") as (plane, client):
        await bring(plane, with_shadow())
        await bring(plane, configuration())
        events = (await client.json("GET", "/v1/audit"))["events"]

    told = [event["type"] for event in events if "shadow" in event["type"]]
    assert told == ["shadow_deployment_created", "shadow_deployment_stopped"]


async def test_counts_survive_a_kill(tmp_path: Path) -> None:
    """The last report of a boot is on disk when it is answered; a late copy of it counts nothing."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await bring(plane, with_shadow())
        await say(plane, agree=30, final=True)

    async with plane_on(tmp_path / "db", clock) as plane:
        await say(plane, agree=30, final=True)
        key = next(key for key in plane.ledger.shadow_keys() if key.role == "shadow")

        assert plane.ledger.shadows.total(key).compared == 30


async def rollout_of(plane: Plane, clock: FakeClock, loop: Loop) -> State:
    """The state of the rollout after another tick."""
    clock.now += 2.0
    await loop.tick()
    return plane.ledger.records["fraud"].rollout.state


async def test_a_canary_gets_nothing_before_its_shadow_has_shown_itself(tmp_path: Path) -> None:
    """Undecided, then passed: the next step begins, and the log has the figures."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await bring(plane, with_shadow(STEP, "10%", "100%"))
        assert await rollout_of(plane, clock, plane.loop) is State.PROGRESSING
        await say(plane, agree=100)
        await rollout_of(plane, clock, plane.loop)
        waiting = await client.json("GET", "/v1/rollouts/fraud")
        gate = (await client.json("GET", "/v1/shadows/fraud/v2"))["gate"]

        assert plane.ledger.records["fraud"].rollout.step == 0
        assert gate["verdict"] == "inconclusive"
        assert any("more pairs are needed" in one["text"] for one in waiting["gates"])
        table = plane.ledger.table
        assert table is not None
        canary = next(i for i, arm in enumerate(table["arms"]) if arm["role"] == "canary")
        split = table["routes"][0]["split"]
        assert split["weights"][split["arms"].index(canary)] == 0

        await say(plane, agree=1200)
        await rollout_of(plane, clock, plane.loop)
        events = (await client.json("GET", "/v1/audit"))["events"]

        assert plane.ledger.records["fraud"].rollout.step == 1
        decided = next(event for event in events if event["type"] == "shadow_gate_decided")
        assert decided["details"]["verdict"] == "pass"
        assert decided["details"]["compared"] == 1200


async def test_a_shadow_that_disagrees_never_becomes_a_canary(tmp_path: Path) -> None:
    """The rollout ends without having harmed or condemned anybody."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await bring(plane, with_shadow(STEP, "10%", "100%"))
        await rollout_of(plane, clock, plane.loop)
        await say(plane, agree=300, differ=60)

        assert await rollout_of(plane, clock, plane.loop) is State.ABORTED
        assert plane.ledger.quarantine == {}
        events = (await client.json("GET", "/v1/audit"))["events"]
        decided = next(event for event in events if event["type"] == "shadow_gate_decided")
        assert decided["details"]["verdict"] == "fail"
        differed = next(event for event in events if event["type"] == "shadow_differed")
        assert differed["resource_id"] == "fraud/v2"
        assert differed["details"]["share"] == pytest.approx(1 / 6)
        assert differed["details"]["limit"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("part", "value", "place"),
    [
        ("shadows", 5, "shadows: must be a list"),
        ("shadows", [{"outcomes": [1]}], "shadows[0].outcomes"),
        ("comparisons", [{"kinds": {"odd": 1}}], "comparisons[0].kinds"),
        ("comparisons", [{"paths": [["/a", "odd", 1]]}], "comparisons[0].paths[0]"),
        ("comparisons", [{"ratio": [[999, 1]]}], "comparisons[0].ratio[0][0]"),
        ("comparisons", [{"compared": -1}], "comparisons[0].compared"),
    ],
)
def test_a_report_that_breaks_the_rules_is_refused(part: str, value: Any, place: str) -> None:
    """With the place that is wrong."""
    body = {"node": "n", "boot": "b", "sequence": 1, "arms": [], part: value}

    with pytest.raises(ReportError) as refused:
        parse_report(body)

    assert place in str(refused.value)
