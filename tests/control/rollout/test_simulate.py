"""Seeded studies: the same seed the same course, and many runs like one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from control.plans.plan import RolloutPlan
from control.rollout.batch import Arrivals, Batch
from control.rollout.machine import DecisionKind, State
from control.rollout.simulate import Bursts, Traffic, run_once, study
from control.stats.mixture import ODDS
from control.stats.wealth import Caution
from tests.control.feeding import Feeder

QUICK = RolloutPlan.from_config({"preset": "aggressive"})
HEALTHY = Traffic(requests_per_second=100.0, control_rate=0.005, canary_rate=0.005, seconds=900)


def test_a_good_canary_is_promoted_step_by_step() -> None:
    run = run_once(QUICK, HEALTHY, seed=1)

    assert run.rollout.state is State.PROMOTED
    assert [decision.kind for decision in run.decisions] == [
        DecisionKind.STARTED,
        DecisionKind.ADVANCED,
        DecisionKind.ADVANCED,
        DecisionKind.PROMOTED,
    ]
    assert [decision.to_weight for decision in run.decisions] == [0.1, 0.5, 1.0, 1.0]
    assert run.seconds < 240


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"canary_rate": 0.05}, "error_rate_rise"),
        ({"canary_latency_factor": 2.0}, "latency_ratio"),
        ({"canary_rate": 1.0}, "breaker"),
    ],
)
def test_a_bad_canary_is_rolled_back_for_what_is_wrong_with_it(changes: dict[str, Any], culprit: str) -> None:
    run = run_once(QUICK, replace(HEALTHY, **changes), seed=2)

    assert run.rollout.state is State.ROLLED_BACK
    analysis = run.decisions[-1].analysis
    assert analysis is not None
    assert culprit in analysis.culprits
    assert run.seconds < 240


def test_the_same_seed_gives_the_same_course() -> None:
    first, second, other = (run_once(QUICK, HEALTHY, seed=seed) for seed in (3, 3, 4))

    assert first.decisions == second.decisions
    assert first.evidence.to_json() == second.evidence.to_json()
    assert first.canary_requests != other.canary_requests


def test_progress_is_told_every_minute() -> None:
    """For the bar of a command that takes a while."""
    seen: list[tuple[int, int]] = []
    traffic = replace(HEALTHY, seconds=200)

    run_once(
        RolloutPlan.from_config(), traffic, seed=1, progress=lambda done, total: seen.append((done, total))
    )
    study(
        traffic,
        runs=2,
        weight=0.1,
        alpha=0.01,
        seed=1,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert seen == [(60 * minute, 200) for minute in range(4)] * 2


def test_many_runs_are_like_one() -> None:
    """A study's state and increments are those of the real observation, for the same counts."""
    rng = np.random.default_rng(5)
    n = rng.poisson(15, size=(200, 2))
    x = rng.binomial(n, [0.3, 0.2])
    watched = Feeder(
        RolloutPlan.from_config(
            {
                "alpha": 0.01,
                "guardrails": [{"kind": "error_rate_rise", "notable_ratio": 1, "notable_rise": 0}],
            }
        )
    )
    process = next(p for p in watched.plan.processes if p.bet is ODDS)
    batch = Batch(1, (1.0,), Caution.of(60.0, 0.01))
    watched.now = -1.0
    for second in range(len(n)):
        watched.tick(*(int(v) for v in (*n[second], *x[second])))
        batch.second(float(second), Arrivals(n=n[second][None], x=x[second][None, None]))

        assert watched.view().values(process) == pytest.approx(
            batch._wealth.values(watched.plan.caution)[0, 0], abs=1e-9
        )
    peak = np.full(1, -np.inf)
    batch.raise_to(peak)
    assert watched.analyse().log_e == pytest.approx(float(peak[0]), abs=1e-9)
    unchanged = peak + 1.0
    batch.raise_to(unchanged)
    assert (unchanged == peak + 1.0).all()


def test_bursts_hit_the_arms_they_should() -> None:
    """One arm at a time, or both at once."""
    rng = np.random.default_rng(6)
    separate = replace(HEALTHY, bursts=Bursts(every_s=300.0)).rates(rng)
    together = replace(HEALTHY, common_outages=Bursts(every_s=300.0)).rates(rng)
    late = replace(HEALTHY, canary_rate=0.1, onset_s=600).rates(rng)

    assert (separate[0] != separate[1]).any()
    assert max(separate[0].max(), separate[1].max()) > 0.05
    assert (together[0] == together[1]).all()
    assert together[0].max() > 0.05
    assert (late[0][:600] == 0.005).all()
    assert (late[0][600:] == 0.1).all()


def test_a_study_that_found_everything_stops() -> None:
    found = study(
        replace(HEALTHY, canary_rate=1.0), runs=20, weight=0.1, alpha=0.05, seed=1, latency=True, exact=False
    )

    assert found.rate == 1.0
    assert found.detected_s.max() < 10
    assert math.isfinite(found.canary_requests.mean())
