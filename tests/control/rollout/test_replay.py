"""Decisions computed again: to the last digit as they are, and with other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from control.plans.problems import PlanError
from control.rollout.replay import ReplayError, replay
from control.store import rollouts
from tests.helpers.control import FakeClock, Proxies, configuration, configure, plane_on, run

GUARDRAILS = [{"kind": "error_rate_rise"}, {"kind": "error_rate", "max": "5%"}, {"kind": "latency_ratio"}]


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The decisions of one rollout that goes wrong after its first step."""
    import asyncio

    return asyncio.run(_decisions(tmp_path_factory.mktemp("replay") / "db"))


async def _decisions(path: Path) -> list[dict[str, Any]]:
    clock = FakeClock()
    async with plane_on(path, clock) as plane:
        await configure(plane, configuration(rollout={"preset": "aggressive", "guardrails": GUARDRAILS}))
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.01})
        while plane.ledger.records["fraud"].rollout.step == 0:
            await run(plane, clock, proxies, seconds=1)
        proxies.failing = {"v1": 0.01, "v2": 0.25}
        await run(plane, clock, proxies, seconds=200, stop="rolled_back")
        async with plane.ledger.store.read() as connection:
            rows = await rollouts.recent_decisions(connection, limit=100)
        return [orjson.loads(row.body) for row in rows][::-1]


def test_every_decision_comes_out_as_it_was_stored(decisions: list[dict[str, Any]]) -> None:
    """Bit for bit, through JSON and back; the first was made from nothing."""
    assert [decision["kind"] for decision in decisions] == ["started", "advanced", "rolled_back"]
    for decision in decisions[1:]:
        found = replay(decision)

        assert found.same
        assert found.analysis == decision["analysis"] | {"reach": None}
        assert not found.missing
    with pytest.raises(ReplayError, match="by a person or by the clock"):
        replay(decisions[0])


def test_other_settings_give_another_verdict(decisions: list[dict[str, Any]]) -> None:
    """The same evidence held against another error budget."""
    found = replay(decisions[-1], {"alpha": 1e-30})

    assert found.verdict_changed
    assert found.analysis["verdict"] != "fail"
    # What a single slice may say is capped by the budget, so a smaller one lets it say more, never less.
    assert found.analysis["log_e"] >= decisions[-1]["analysis"]["log_e"]
    assert {"verdict", "threshold"} <= {difference.what for difference in found.differences}
    assert found.to_json()["same"] is False


def test_a_guardrail_is_set_by_its_name(decisions: list[dict[str, Any]]) -> None:
    """Switched to warn it decides nothing; with another limit its bets were never placed, which is said."""
    warned = replay(decisions[-1], {"guardrails.error_rate_rise.mode": "warn"})
    other = replay(decisions[-1], {"guardrails.error_rate.max": "9%"})

    weights = {finding["name"]: finding["weight"] for finding in warned.analysis["findings"]}
    assert weights["error_rate_rise"] in (0.0, 1.0)
    assert "error_rate" in other.missing


@pytest.mark.parametrize(
    "setting", ["guardrails.nothing.max", "guardrails.error_rate", "steps.0.weight", "nonsense"]
)
def test_a_setting_that_is_none_is_refused(decisions: list[dict[str, Any]], setting: str) -> None:
    """With the names there are."""
    with pytest.raises(ReplayError, match="is no setting"):
        replay(decisions[-1], {setting: 1})


def test_a_value_that_no_plan_can_have_is_refused(decisions: list[dict[str, Any]]) -> None:
    """By the same check as in a configuration."""
    with pytest.raises(PlanError):
        replay(decisions[-1], {"alpha": 7})
