"""Experiments by latency, first byte and metrics of the route: what is found, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from config.values import InvalidValueError
from control.experiments.analysis import analyse
from control.experiments.comparison import Comparison
from control.experiments.experiment import Experiment
from control.experiments.figures import Arm
from control.experiments.metric import Metric, Unit
from control.judgement.evidence import ArmCounts
from control.metrics import RouteMetric
from control.stats.events import Source
from proxy.counters import METRIC_CELLS, METRICS_MAX
from proxy.histogram import BUCKETS
from proxy.metric_counts import count_value
from proxy.outcomes import OUTCOMES
from tests.control.feeding import bucket

SCORE = RouteMetric(name="score", place=1, source="json:/score", low=0.0, high=1.0, log=False)
Draw = Callable[[], float]


class Served:
    """What one variant has counted: requests with a latency, and a value of the score with each."""

    def __init__(self, latency: Draw = lambda: 0.05, score: Draw = lambda: 0.5, failing: float = 0.0) -> None:
        self.latency, self.score, self.failing = latency, score, failing
        self.n = self.failed = 0
        self.outcomes = [0] * OUTCOMES
        self.total = np.zeros(BUCKETS, dtype=np.int64)
        self.cells = memoryview(bytearray(8 * METRICS_MAX * METRIC_CELLS)).cast("Q")

    def serve(self, chance: random.Random, n: int) -> None:
        for _ in range(n):
            self.n += 1
            if chance.random() < self.failing:
                self.failed += 1
                self.outcomes[3] += 1
                continue
            self.outcomes[0] += 1
            self.total[bucket(self.latency())] += 1
            count_value(self.cells, SCORE.place * METRIC_CELLS, SCORE.scale, self.score())

    def counts(self) -> ArmCounts:
        return ArmCounts(
            started=self.n,
            finished=self.n,
            failed=self.failed,
            outcomes=tuple(self.outcomes),
            total=self.total.copy(),
            first_byte=self.total.copy(),
            metrics=np.array(self.cells, dtype=np.int64).reshape(METRICS_MAX, METRIC_CELLS),
        )


def after(metric: Metric, mine: Served, other: Served, seconds: int, *, margin: float | None = None) -> Any:
    """The analysis after so many seconds of 100 requests each."""
    chance, compared = random.Random(7), Comparison()
    for now in range(seconds):
        for served in (mine, other):
            served.serve(chance, 100)
        compared = compared.observe(metric, mine.counts(), other.counts(), now=float(now))
        if now == seconds // 2:
            plain = json.loads(json.dumps(compared.to_json()))
            assert Comparison.from_json(plain).to_json() == compared.to_json()
            compared = Comparison.from_json(plain)
    experiment = Experiment(
        id="x-1",
        name="ranker",
        route="search",
        control="v1",
        variants={"v1": 0.5, "v2": 0.5},
        key=("client_address",),
        base="",
        created_at=0.0,
        created_by="alice",
        metric=metric,
        margin=margin,
        comparisons={"v2": compared},
    )
    assert Experiment.from_json(json.loads(json.dumps(experiment.to_json()))).metric == metric
    arms = {
        name: Arm(
            name=name,
            requests=compared.n[place],
            failures=compared.failures.x[place],
            mean_latency=0.05,
            counts=served.counts(),
        )
        for place, (name, served) in enumerate((("v2", mine), ("v1", other)))
    }
    return analyse(experiment, arms, units={})


def lognormal(seed: int, median: float, sigma: float = 0.4) -> Draw:
    chance = random.Random(seed)
    return lambda: median * float(np.exp(chance.gauss(0.0, sigma)))


@pytest.mark.parametrize("text", ["latency:p95", "first_byte:p50"])
def test_a_faster_variant_is_better_by_its_quantile(text: str) -> None:
    """With the improvement in seconds and as a share of control's, both intervals hold what is true."""
    metric = Metric.read(text, "", ())
    says = after(metric, Served(lognormal(1, 0.04)), Served(lognormal(2, 0.05)), 40)
    (one,) = says["treatments"]
    assert (one["verdict"], says["winner"], says["unit"]) == ("better", "v2", "seconds")
    found = one["improvement"]
    true = 0.01 * float(np.exp(0.4 * 1.645)) if text == "latency:p95" else 0.01
    assert found["state"] == "ok"
    assert 0 < found["absolute"]["low"] < true < found["absolute"]["high"]
    assert 0 < found["relative"]["low"] < 0.2 < found["relative"]["high"]
    assert one["metric"]["low"] < one["metric"]["value"] < one["metric"]["high"]
    assert one["log_e_better"] > np.log(one["threshold"]) > one["log_e_worse"]
    assert one["beyond"][0]["x"][0] < one["beyond"][0]["x"][1]
    assert one["failure_ratio"]["value"] is None
    assert text.partition(":")[0].replace("_", " ") in one["reason"]


def test_equal_latencies_stay_undecided_or_are_equivalent() -> None:
    """Half a percent more at the p99 is nothing to tell; within a margin it is shown to be nothing."""
    metric = Metric.read("latency:p50", "", ())
    says = after(metric, Served(lognormal(3, 0.05)), Served(lognormal(4, 0.05)), 60, margin=0.2)
    assert says["treatments"][0]["verdict"] == "equivalent"
    says = after(metric, Served(lognormal(3, 0.05)), Served(lognormal(4, 0.05)), 60)
    (one,) = says["treatments"]
    assert one["verdict"] == "inconclusive"
    assert one["needed"] is None or one["needed"] > 1000


@pytest.mark.parametrize(
    ("direction", "verdict"), [("lower_is_worse", "better"), ("higher_is_worse", "worse")]
)
def test_a_metric_is_judged_by_its_values_and_shown_by_its_mean(direction: str, verdict: str) -> None:
    """Which way is worse decides; the mean's difference comes with its interval."""
    metric = Metric.read("metric:score", direction, [SCORE])
    chance = random.Random(5)
    mine = Served(score=lambda: chance.betavariate(6, 4))
    other = Served(score=lambda: chance.betavariate(5, 5))
    (one,) = after(metric, mine, other, 30)["treatments"]
    assert one["verdict"] == verdict
    sign = 1 if verdict == "better" else -1
    found = one["improvement"]["absolute"]
    assert found["low"] < sign * 0.1 < found["high"]
    assert one["improvement"]["relative"]["value"] == pytest.approx(sign * 0.2, abs=0.02)
    assert one["metric"]["value"] == pytest.approx(0.6, abs=0.01)
    assert one["metric"]["low"] < 0.6 < one["metric"]["high"]


def test_too_little_is_a_state_of_its_own() -> None:
    """Before control's quantile is known there is no data; few values have a mean, and no interval yet."""
    p99 = Metric.read("latency:p99", "", ())
    (one,) = after(p99, Served(), Served(), 1)["treatments"]
    assert (one["verdict"], one["needed"]) == ("no_data", None)
    assert "too little" in one["reason"]
    score = Metric.read("metric:score", "lower_is_worse", [SCORE])
    chance = random.Random(6)
    (one,) = after(score, Served(score=chance.random), Served(score=chance.random), 5)["treatments"]
    assert one["verdict"] == "inconclusive"
    assert one["improvement"]["state"] == "not_enough_data"
    assert one["improvement"]["absolute"]["value"] is not None
    assert one["improvement"]["absolute"]["low"] is None


def test_failing_fast_is_not_hidden_by_being_fast() -> None:
    """Whatever the metric, failures of both arms are compared beside it."""
    metric = Metric.read("latency:p50", "", ())
    (one,) = after(
        metric, Served(lognormal(8, 0.03), failing=0.2), Served(lognormal(9, 0.05), failing=0.02), 20
    )["treatments"]
    assert one["failure_ratio"]["low"] > 2
    assert one["success_rate"] < 0.85


@pytest.mark.parametrize(
    ("text", "direction", "told"),
    [
        ("p95", "", "is no metric; write failures, latency:p95"),
        (7, "", "is no metric"),
        ("latency", "", "is no quantile of latency; write one from p1"),
        ("latency:p100", "", "is no quantile"),
        ("latency:p95", "higher_is_worse", "leave out the direction"),
        ("metric:speed", "higher_is_worse", "the route has no metric 'speed'; use one of score"),
        ("metric:score", "", "which way score is worse is not said; set direction to"),
        ("metric:score", "up", "'up' is not a direction"),
    ],
)
def test_what_is_no_metric_is_refused_with_what_would_do(text: object, direction: str, told: str) -> None:
    """At once, and in words."""
    with pytest.raises(InvalidValueError) as caught:
        Metric.read(text, direction, [SCORE])
    assert told in f"{caught.value.problem}; {caught.value.remedy}"


def test_margins_are_in_the_unit_of_the_metric() -> None:
    """A share of control's latency, a difference of the metric's own values."""
    latency = Metric.read("first_byte:p99.9", "", ())
    assert (latency.source, latency.level, latency.unit) == (Source.FIRST_BYTE, 0.999, Unit.SECONDS)
    assert latency.read_margin("5%") == 0.05
    score = Metric.read("metric:score", "lower_is_worse", [SCORE])
    assert score.read_margin(0.25) == 0.25
    for metric, given in ((latency, 0.9), (score, 2), (score, "much"), (score, True)):
        with pytest.raises(InvalidValueError):
            metric.read_margin(given)


def test_each_event_has_the_overdispersion_of_its_own() -> None:
    """Keys that differ in how slow they are make latency less sure, and failures as much as these differ."""
    metric, chance = Metric.read("latency:p95", "", ()), random.Random(3)
    slow, fast = Served(lognormal(1, 0.08), failing=0.05), Served(lognormal(2, 0.05), failing=0.01)
    alike = unlike = Comparison()
    for now in range(60):
        for served in (slow, fast):
            served.serve(chance, 50)
        arms = slow.counts(), fast.counts()
        alike = alike.observe(metric, *arms, now=float(now))
        unlike = unlike.observe(metric, *arms, now=float(now), phi=(2.0, 1.0, 1.0, 1.0, 6.0, 3.0))

    assert unlike.failures.log_e_worse == pytest.approx(alike.failures.log_e_worse / 2)
    (latency,) = metric.events
    assert unlike.of(latency).log_e_worse == pytest.approx(alike.of(latency).log_e_worse / 6)
    assert alike.of(latency).log_e_worse > 5
