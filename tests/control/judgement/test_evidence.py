"""Counts and evidence as values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from control.judgement.evidence import STAGES_MAX, ArmCounts, Evidence, Raw, StageLedger
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
