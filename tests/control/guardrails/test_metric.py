"""Custom metrics: worse values condemn, equal ones pass, skewed ones do not fool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from control.guardrails.finding import Finding, Verdict
from control.judgement.evidence import ArmCounts
from control.judgement.observation import observe
from control.plans.plan import PlanError, RolloutPlan
from proxy.counters import METRIC_CELLS, METRICS_MAX
from proxy.metric_counts import MetricScale, count_value
from tests.control.feeding import Feeder

SCORE = {"name": "score", "source": "json:/score", "range": [0, 1]}
LABEL = {"name": "label", "source": "feedback", "range": [0, 1]}


def plan(direction: str = "lower_is_worse", *, metrics: Any = (SCORE,), **more: Any) -> RolloutPlan:
    name = metrics[0]["name"]
    guardrail = {"kind": "metric", "metric": name, "direction": direction, **more}
    return RolloutPlan.from_config({"burst": 0, "guardrails": [guardrail]}, metrics=metrics)


class Watched(Feeder):
    """A feeder whose arms have values of one metric."""

    def __init__(self, plan: RolloutPlan) -> None:
        self.values: list[memoryview] = []
        super().__init__(plan)

    def begin(self, stage: str) -> None:
        super().begin(stage)
        self.values = [memoryview(bytearray(8 * METRIC_CELLS * METRICS_MAX)).cast("Q") for _ in range(2)]

    def say(self, canary: Any, control: Any, *, requests: int = 50) -> None:
        """A second of requests, and of values."""
        for cells, values in zip(self.values, (canary, control), strict=True):
            for value in values:
                count_value(cells, 0, MetricScale(0, 1, log=False), value)
        self.canary.serve(requests)
        self.control.serve(requests)
        self.look()

    def look(self, seconds: float = 1.0) -> None:
        self.now += seconds
        canary, control = (
            arm.counts(metrics=np.array(cells, dtype=np.int64).reshape(METRICS_MAX, METRIC_CELLS))
            for arm, cells in zip((self.canary, self.control), self.values, strict=True)
        )
        self.evidence = observe(
            self.evidence,
            self.plan,
            stage=self.stage,
            canary=canary,
            control=control,
            now=self.now,
            share=0.5,
        )

    @property
    def finding(self) -> Finding:
        return self.analyse().findings[0]


@pytest.mark.parametrize(("direction", "worse"), [("lower_is_worse", -0.1), ("higher_is_worse", 0.1)])
def test_worse_values_condemn_and_better_ones_do_not(direction: str, worse: float) -> None:
    rng = np.random.default_rng(1)
    bad, good = Watched(plan(direction)), Watched(plan(direction))
    for _ in range(60):
        control = rng.beta(8, 4, 40)
        bad.say(rng.beta(8, 4, 40) + worse, control)
        good.say(rng.beta(8, 4, 40) - worse, control)

    assert bad.finding.verdict is Verdict.FAIL
    assert "for a worse score" in bad.finding.reason
    assert bad.analyse().culprits == ("metric",)
    assert good.finding.verdict is Verdict.PASS
    assert good.finding.log_e < 0


def test_means_are_shown_with_an_interval() -> None:
    rng = np.random.default_rng(2)
    watched = Watched(plan())
    for _ in range(30):
        watched.say(rng.uniform(0.4, 0.6, 50), rng.uniform(0.5, 0.7, 50))

    found = watched.finding

    assert found.unit == "value"
    assert found.canary.value == pytest.approx(0.5, abs=0.01)
    assert found.control.value == pytest.approx(0.6, abs=0.01)
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert found.difference.low < -0.1 < found.difference.high < 0


def test_a_tolerated_difference_is_no_harm() -> None:
    rng = np.random.default_rng(3)
    watched = Watched(plan(tolerance=0.1))
    for _ in range(60):
        watched.say(rng.beta(8, 4, 40) - 0.05, rng.beta(8, 4, 40))

    assert watched.finding.verdict is Verdict.PASS


def test_identical_skewed_values_condemn_at_most_as_often_as_allowed() -> None:
    """Where a test of means rolls 7 to 35 % back."""
    rng = np.random.default_rng(4)
    rolled_back = 0
    for _ in range(40):
        watched = Watched(plan("lower_is_worse"))
        for _ in range(40):
            values = [np.minimum(1.0, 0.02 * rng.lognormal(0, 1.5, n)) for n in (4, 60)]
            watched.say(*values)
        rolled_back += watched.finding.verdict is Verdict.FAIL

    # Allowed is one in a hundred; three of forty have a chance below one in a hundred.
    assert rolled_back <= 2


def test_only_requests_with_values_are_asked() -> None:
    """No value is neither a good nor a bad one: the answers that are missing move nothing."""
    rng = np.random.default_rng(5)
    watched = Watched(plan())
    for _ in range(60):
        watched.say(rng.beta(8, 4, 5), rng.beta(8, 4, 40), requests=100)

    assert watched.finding.verdict is not Verdict.FAIL
    assert watched.view().tally(watched.plan.events[1]).n_canary <= 300


def test_without_values_there_is_no_data() -> None:
    watched = Watched(plan())
    for _ in range(60):
        watched.say((), ())

    assert watched.finding.verdict is Verdict.NO_DATA
    assert watched.analyse().verdict is Verdict.NO_DATA


def test_feedback_that_comes_after_its_stage_still_condemns() -> None:
    """The step is over, its answers were good; then it turns out that they were wrong."""
    watched = Watched(plan("higher_is_worse", metrics=(LABEL,)))
    rng = np.random.default_rng(6)
    for _ in range(30):
        watched.say(rng.random(20) < 0.1, rng.random(20) < 0.1)
    first = (watched.stage, watched.canary, watched.control, watched.values)
    watched.begin("r:1:2")
    for _ in range(5):
        watched.say((), ())
    before = watched.analyse().log_e
    watched.stage, watched.canary, watched.control, watched.values = first
    for _ in range(30):
        for cells, rate in zip(watched.values, (0.6, 0.1), strict=True):
            for value in rng.random(20) < rate:
                count_value(cells, 0, MetricScale(0, 1, log=False), float(value))
        watched.look()

    assert before < 1
    assert watched.finding.verdict is Verdict.FAIL
    assert watched.analyse().culprits == ("metric",)


@pytest.mark.parametrize(
    ("guardrail", "place"),
    [
        ({"metric": "other", "direction": "lower_is_worse"}, ("guardrails", 0, "metric")),
        ({"direction": "lower_is_worse"}, ("guardrails", 0, "metric")),
        ({"metric": "score", "direction": "up"}, ("guardrails", 0, "direction")),
        ({"metric": "score"}, ("guardrails", 0, "direction")),
        ({"metric": "score", "direction": "lower_is_worse", "tolerance": -1}, ("guardrails", 0, "tolerance")),
    ],
)
def test_what_cannot_be_used_is_named(guardrail: dict[str, Any], place: tuple[str | int, ...]) -> None:
    with pytest.raises(PlanError) as caught:
        RolloutPlan.from_config({"guardrails": [{"kind": "metric", **guardrail}]}, metrics=[SCORE])

    assert [problem.path for problem in caught.value.problems] == [place]


def test_a_stored_plan_knows_its_metrics() -> None:
    made = plan()

    again = RolloutPlan.from_config(made.source)

    assert again.metrics == made.metrics
    assert {event.key for event in again.events} == {event.key for event in made.events}


def test_arms_without_metrics_are_no_zeroes() -> None:
    """Reports of a version that counts none."""
    watched = Feeder(plan())
    for _ in range(30):
        watched.tick(50, 50)

    assert isinstance(watched.canary.counts(), ArmCounts)
    assert watched.analyse().verdict is Verdict.NO_DATA
