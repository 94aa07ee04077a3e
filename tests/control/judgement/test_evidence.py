"""Counts and evidence as values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from control.judgement.evidence import STAGES_MAX, ArmCounts, Evidence, Raw, StageLedger
from control.plans.plan import RolloutPlan
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES, Outcome
from tests.control.feeding import Feeder


def test_what_counts_as_a_request() -> None:
    """Aborts, overrides and requests of a killed worker are neither good nor bad."""
    outcomes = [0] * OUTCOMES
    outcomes[Outcome.CLIENT_ABORT], outcomes[Outcome.OVERRIDE] = 4, 3
    counts = ArmCounts(started=100, finished=90, failed=5, outcomes=tuple(outcomes), lost=6)

    assert counts.exposed == 100 - 4 - 3 - 6
    assert counts.answered == 90 - 4 - 3
    assert counts.in_flight == 4
    assert ArmCounts(started=5, finished=6).in_flight == 0
    assert counts.total.shape == counts.first_byte.shape == (BUCKETS,)


def test_counts_that_only_rise_are_in_order() -> None:
    before, after = Raw(started=(5, 5), finished=(4, 4)), Raw(started=(6, 5), finished=(4, 5))

    assert before.precedes(before)
    assert before.precedes(after)
    assert not after.precedes(before)
    # What is in flight goes up and down.
    assert Raw(in_flight=(5, 5)).precedes(Raw(in_flight=(0, 0)))


def test_stages_are_kept_in_order_and_bounded() -> None:
    evidence = Evidence.empty()
    for i in range(STAGES_MAX + 5):
        evidence = evidence.with_stage(StageLedger(stage=f"r:{i}:{i}"))
    evidence = evidence.with_stage(replace(evidence.stages[3], n=(7, 7)))

    assert len(evidence.stages) == STAGES_MAX
    assert evidence.current is not None
    assert evidence.current.stage == f"r:{STAGES_MAX + 4}:{STAGES_MAX + 4}"
    assert evidence.stages[3].n == (7, 7)
    assert Evidence.empty().current is None


def test_evidence_survives_json() -> None:
    """Also the empty one, and what an earlier version stored as nothing."""
    watched = Feeder({"guardrails": [{"kind": "error_rate_rise"}, {"kind": "latency_ratio"}]})
    for _ in range(100):
        watched.tick(30, 30, 1, 0, share=0.5)

    for evidence in (watched.evidence, Evidence.empty()):
        data = json.loads(json.dumps(evidence.to_json(), allow_nan=False))
        again = Evidence.from_json(data)

        assert again.to_json() == data
        assert again.stages == evidence.stages
        assert all((again.wealth[key].free == wealth.free).all() for key, wealth in evidence.wealth.items())
    assert Evidence.from_json({}) == Evidence.empty()
    assert np.isfinite(watched.evidence.log_peak)


@settings(max_examples=6, deadline=None)
@given(
    ticks=st.lists(
        st.tuples(
            *[st.integers(0, 40)] * 2, *[st.floats(0.0, 0.5)] * 4, st.sampled_from([0.3, 1.0, 9.0, 70.0])
        ),
        min_size=8,
        max_size=16,
    ),
    stages=st.sets(st.integers(1, 15), max_size=2),
    restarts=st.sets(st.integers(0, 15), min_size=1, max_size=4),
)
def test_a_restart_at_any_look_changes_no_digit(
    ticks: list[tuple[int, int, float, float, float, float, float]], stages: set[int], restarts: set[int]
) -> None:
    """Evidence that went through JSON goes on as the one that did not, through slices, starts and stages."""
    plan = RolloutPlan.from_config(
        {
            "burst": 10,
            "guardrails": [
                {"kind": "error_rate_rise"},
                {"kind": "error_rate", "max": 0.1},
                {"kind": "latency_ratio", "quantiles": ["p50", "p75"]},
                {"kind": "sample_ratio"},
            ],
        }
    )
    lasting, restarted = Feeder(plan), Feeder(plan)
    for i, (n_c, n_t, bad_c, bad_t, slow_c, slow_t, seconds) in enumerate(ticks):
        for watched in (lasting, restarted):
            if i in stages:
                watched.begin(f"r:{i}:{i + 1}")
            watched.canary.serve(n_c, int(bad_c * n_c), slow=int(slow_c * n_c))
            watched.control.serve(n_t, int(bad_t * n_t), slow=int(slow_t * n_t))
            watched.report(seconds=seconds, share=0.5)
        if i in restarts:
            stored = json.dumps(restarted.evidence.to_json(), allow_nan=False)
            restarted.evidence = Evidence.from_json(json.loads(stored))

    one, other = (watched.evidence.to_json() for watched in (lasting, restarted))
    # Quantiles for people to look at are taken anew after a restart.
    assert one | {"latency": None} == other | {"latency": None}
    assert one["wealth"] or not any(min(tick[:2]) for tick in ticks)
