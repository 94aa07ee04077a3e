"""What latency guardrails share: slow requests against control's own quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from control.guardrails.base import Defaults, GuardrailConfigError
from control.guardrails.finding import Finding, Mode, Verdict
from control.guardrails.latency_ratio import LatencyRatio
from proxy.histogram import BUCKETS, EDGES_US
from tests.control.feeding import Arm, Feeder

QUICK = {"burst": 0, "alpha": 0.01, "alpha_promote": 0.05}


def feeder(**parameters: Any) -> Feeder:
    return Feeder({**QUICK, "guardrails": [{"kind": "latency_ratio", **parameters}]})


def finding(watched: Feeder, step: int | None = None) -> Finding:
    (guardrail,) = watched.plan.guardrails
    return guardrail.judge(watched.view(step), 1.0)


def serve(arm: Arm, n: int, median_s: float, rng: np.random.Generator, *, tail: float = 0.0) -> None:
    """n successes with lognormal latency, a share of them two hundred milliseconds slower."""
    seconds = rng.lognormal(np.log(median_s), 0.4, n) + 0.2 * (rng.random(n) < tail)
    arm.started += n
    arm.finished += n
    arm.outcomes[0] += n
    buckets = np.searchsorted(np.array(EDGES_US), (seconds * 1e6).astype(np.int64))
    arm.total += np.bincount(buckets, minlength=BUCKETS)


def play(watched: Feeder, seconds: int, *, factor: float = 1.0, tail: float = 0.0, seed: int = 1) -> Finding:
    rng = np.random.default_rng(seed)
    for _ in range(seconds):
        serve(watched.canary, 50, 0.05 * factor, rng, tail=tail)
        serve(watched.control, 50, 0.05, rng)
        watched.report()
    return finding(watched)


def test_a_slower_canary_fails() -> None:
    """Half as slow again everywhere, with a quarter tolerated."""
    found = play(feeder(max=1.25), 40, factor=1.6)

    assert found.verdict is Verdict.FAIL
    assert found.unit == "seconds"
    assert found.canary.value is not None
    assert found.control.value is not None
    assert found.ratio.value == pytest.approx(1.6, rel=0.15)
    assert found.ratio.low is not None
    assert found.ratio.high is not None
    assert found.ratio.low <= 1.6 <= found.ratio.high
    assert "slower than control's p" in found.reason


def test_a_slow_tail_fails_although_the_median_is_fine() -> None:
    """One in ten answers takes two hundred milliseconds more."""
    found = play(feeder(max=1.25), 60, tail=0.1)

    assert found.verdict is Verdict.FAIL


def test_an_equal_canary_passes_at_every_quantile() -> None:
    found = play(feeder(max=1.25), 90)

    assert found.verdict is Verdict.PASS


def test_a_slowdown_within_the_tolerance_does_not_roll_back() -> None:
    """Twenty per cent slower where half as much again is allowed."""
    found = play(feeder(max=1.5), 60, factor=1.2)

    assert found.verdict is not Verdict.FAIL
    assert found.log_e < 1.0


def test_without_a_threshold_there_is_no_data() -> None:
    """Control's quantiles have to be known from earlier requests first."""
    watched = feeder()
    assert finding(watched).verdict is Verdict.NO_DATA
    watched.tick(3, 3)
    watched.tick(20, 0)

    found = finding(watched)

    assert found.verdict is Verdict.NO_DATA
    assert found.needed is None
    assert "too few answers" in found.reason


def test_early_steps_do_not_wait_for_the_tail() -> None:
    """A p99 needs five hundred answers; the first step passes without, the last comparison does not."""
    watched = Feeder(
        {**QUICK, "steps": ["5%", "50%", "100%"], "guardrails": [{"kind": "latency_ratio", "max": 1.5}]}
    )
    play(watched, 8)

    assert finding(watched, step=0).verdict is Verdict.PASS
    assert finding(watched, step=1).verdict is Verdict.NO_DATA


def test_deadlines_count_as_slow() -> None:
    """A canary whose slow requests time out must not look quicker for it."""
    watched = feeder(quantiles=["p50"], max=1.0)
    for _ in range(30):
        watched.canary.serve(50, hanging=20)
        watched.canary.end(20)
        watched.control.serve(50)
        watched.report()

    assert finding(watched).verdict is Verdict.FAIL


def test_defaults_come_from_the_preset() -> None:
    made = LatencyRatio.from_config(
        {}, name="x", mode=Mode.WARN, defaults=Defaults(latency_ratio=1.5, promote_rise=0.01)
    )

    assert made.maximum == 1.5
    assert [event.shift for event in made.events] == [9] * 5
    assert [event.quantile for event in made.events] == [0.25, 0.5, 0.75, 0.9, 0.99]


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"quantiles": []}, ("quantiles",)),
        ({"quantiles": ["p50", "p100"]}, ("quantiles", 1)),
        ({"quantiles": [95]}, ("quantiles", 0)),
        ({"max": 0.9}, ("max",)),
        ({"maximum": 2}, ("maximum",)),
    ],
)
def test_unusable_parameters_are_named(parameters: dict[str, Any], path: tuple[str | int, ...]) -> None:
    with pytest.raises(GuardrailConfigError) as caught:
        LatencyRatio.from_config(parameters, name="x", mode=Mode.ENFORCE, defaults=Defaults())

    assert caught.value.path == path


def test_a_quantile_that_is_not_known_yet_is_named_with_what_it_takes() -> None:
    """A p99 takes 500 answers; what is missing of them comes on top of what the evidence takes."""
    watched = feeder(quantiles=["p50", "p99"])
    few = play(watched, 2)
    more = play(watched, 6, seed=2)

    assert few.verdict is more.verdict is Verdict.NO_DATA
    assert "control's p99 of latency: it takes 500; about" in more.reason
    assert few.needed is not None
    assert more.needed is not None
    assert 500 - 400 < more.needed < few.needed


def test_nothing_is_said_of_what_is_needed_without_an_answer() -> None:
    found = finding(feeder())

    assert found.verdict is Verdict.NO_DATA
    assert found.needed is None
