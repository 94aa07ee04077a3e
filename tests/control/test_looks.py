"""Many rollouts in one tick: the same evidence as one by one, and nobody starves when time is short."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from control.guardrails.finding import Verdict
from control.judgement.analysis import urgent
from control.judgement.evidence import Evidence
from control.judgement.observation import Look, observe, observe_all
from control.looks import Looks
from control.plans.plan import RolloutPlan
from control.rollout.machine import Rollout, State
from control.rollout.records import Record
from tests.control.feeding import Arm, Feeder

TEN = [
    {"kind": "error_rate_rise"},
    {"kind": "error_rate", "max": "5%"},
    {"kind": "latency_ratio"},
    {"kind": "first_byte_ratio"},
    {"kind": "latency_ratio", "name": "tail", "max": 2, "quantiles": ["p99"]},
    {"kind": "error_rate_rise", "name": "much_worse", "rollback_ratio": 1.5, "mode": "warn"},
    {"kind": "sample_ratio"},
    {"kind": "retry_share"},
    {"kind": "client_abort_share"},
    {"kind": "override_share"},
]
SCORE = {"name": "score", "source": "feedback", "range": [0, 1]}
SCORED = {"kind": "metric", "metric": "score", "direction": "lower_is_worse"}
PLANS = [
    RolloutPlan.from_config({"guardrails": [*TEN, SCORED]}, metrics=[SCORE]),
    RolloutPlan.from_config({"preset": "aggressive", "guardrails": TEN[:1]}),
    RolloutPlan.from_config({"burst": 0}),
]


def test_together_rollouts_come_to_what_they_come_to_alone() -> None:
    """Evidence of different plans at different paces, through stages, late failures and pauses."""
    rng = np.random.default_rng(5)
    rates = [3, 300, 40, 0]
    arms = [(Arm(), Arm()) for _ in range(6)]
    scores = np.zeros((6, 2, 4, 128), dtype=np.int64)
    alone = [Evidence.empty() for _ in arms]
    together = list(alone)
    for second in range(65):
        given: list[dict[str, Any]] = []
        for i, (canary, control) in enumerate(arms):
            for arm, bad in ((canary, 0.05 * (i % 3)), (control, 0.01)):
                n = int(rng.poisson(rates[i % 4]))
                arm.serve(n, int(rng.binomial(n, bad)), latency_s=float(rng.uniform(0.02, 0.3)))
                which = int(arm is control)
                scores[i, which, 0, 0] += n
                np.add.at(scores[i, which, 0], rng.integers(4, 100 - 20 * (1 - which), n), 1)
            if second == 40:
                scores[i] = 0
                arms[i] = (Arm(), Arm())
            given.append(
                {
                    "plan": PLANS[i % 3],
                    "stage": f"r:0:{1 + (second >= 40)}",
                    "canary": arms[i][0].counts(metrics=scores[i][0].copy()),
                    "control": arms[i][1].counts(metrics=scores[i][1].copy()),
                    "now": float(second),
                    "share": 0.5,
                }
            )
        alone = [observe(evidence, **one) for evidence, one in zip(alone, given, strict=True)]
        together = observe_all(
            [Look(evidence=evidence, **one) for evidence, one in zip(together, given, strict=True)]
        )

    for one, other in zip(alone, together, strict=True):
        assert one.stages == other.stages
        assert one.tallies == other.tallies
        assert one.thresholds == other.thresholds
        assert one.schedule == replace(other.schedule, shown_at=one.schedule.shown_at)
        assert one.log_peak == pytest.approx(other.log_peak, abs=1e-9)
        assert one.wealth.keys() == other.wealth.keys()
        for key, wealth in one.wealth.items():
            for name in ("free", "register", "pending"):
                assert getattr(other.wealth[key], name) == pytest.approx(getattr(wealth, name), abs=1e-9), key
    assert max(evidence.log_peak for evidence in alone) > math.log(100)


@pytest.mark.parametrize("step", [0, 4])
@pytest.mark.parametrize(("canary", "control"), [(0.2, 0.01), (1.0, 0.0), (1.0, 1.0)])
def test_whoever_would_be_rolled_back_is_urgent(step: int, canary: float, control: float) -> None:
    """The cheap question never says no where the analysis condemns."""
    rng = np.random.default_rng(6)
    plan = PLANS[1]
    watched = Feeder(plan)
    seen = set()
    for _ in range(60):
        n = rng.poisson(8, 2)
        watched.tick(*n.tolist(), *rng.binomial(n, (canary, control)).tolist())
        fails = watched.analyse(step).verdict is Verdict.FAIL
        seen.add((fails, urgent(watched.evidence, plan, watched.now, step=step)))

    assert (True, False) not in seen
    assert (True, True) in seen or canary == control


def test_nobody_starves_when_a_tick_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit comes first in the next tick, each in its turn, and is counted."""
    monkeypatch.setattr("control.looks.TOGETHER", 3)
    monkeypatch.setattr("control.looks.COUNTING_SECONDS", 0.0)
    monkeypatch.setattr("control.looks.ANALYSES_LEAST", 1)
    monkeypatch.setattr("control.looks.ANALYSING_SECONDS", 0.0)
    records = {f"r{i}": _record(f"r{i}") for i in range(9)}
    looks, taken, analysed = Looks(), [], []
    for second in range(27):
        now = float(second)
        looked = looks.look(looks.take_due(records, now), {}, now)
        assert len(looked) == 3
        taken += [record.rollout.route for record, _, _ in looked]
        analysed += [record.rollout.route for record, _, found in looked if found and found.analysis]
        looks.note(looked, records)

    assert {route: taken.count(route) for route in records} == dict.fromkeys(records, 9)
    assert {route: analysed.count(route) for route in records} == dict.fromkeys(records, 3)
    assert looks.postponed == 27 * 6
    assert looks.put_off == 27 * 2


def test_one_rollout_at_fault_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    records = {f"r{i}": _record(f"r{i}") for i in range(3)}

    def broken(case: Any, *others: Any) -> Any:
        if case.record.rollout.route == "r1":
            raise ZeroDivisionError("a bug of ours")
        return whole(case, *others)

    from control import judge

    whole = judge._look
    monkeypatch.setattr("control.judge._look", broken)
    looks = Looks()

    looked = looks.look(looks.take_due(records, 1.0), {}, 1.0)

    assert [record.rollout.route for record, _, found in looked if found and found.analysis] == ["r0", "r2"]
    assert looks.problems == {"r1": "ZeroDivisionError: a bug of ours"}
    assert looks.failures == 1


def _record(route: str) -> Record:
    return Record(
        rollout=Rollout(
            id=f"{route}-00000000",
            route=route,
            stable="v1",
            canary="v2",
            created_at=0.0,
            state=State.PROGRESSING,
        ),
        plan=PLANS[1],
        evidence=Evidence.empty(),
        evidence_from=0,
        identity="",
        subject="",
        release="",
        config_digest="",
        control="control",
    )
