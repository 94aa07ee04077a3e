"""What is missing is never a pass and never a zero: one test over every kind that is registered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.guardrails.base import Guardrail
from control.guardrails.finding import Family, Verdict
from control.guardrails.load import load_all
from control.judgement.analysis import analyse
from control.judgement.evidence import ArmCounts, Counts, Evidence
from control.judgement.observation import observe
from control.plans.plan import RolloutPlan
from control.rollout.machine import DecisionKind, Rollout, State, advance
from control.stats.events import Source
from proxy.counters import METRIC_CELLS, METRICS_MAX
from proxy.histogram import BUCKETS
from proxy.metric_counts import MetricScale, count_value
from proxy.outcomes import OUTCOMES, Outcome
from tests.control.feeding import bucket
from tests.control.guardrails.test_kinds import NEEDED

load_all()
METRIC = {"name": "label_error", "source": "feedback", "range": [0, 1]}
# What every proxy counts of every request. Whatever else a guardrail reads can be missing.
COUNTED = {Source.FAILURE, Source.ABORT, Source.RETRY, Source.OVERRIDE}
STEPS = (0, 1, 2, None)


def ten_values() -> Counts:
    """The cells of the metric after ten values."""
    cells = memoryview(bytearray(8 * METRIC_CELLS * METRICS_MAX)).cast("Q")
    for tenth in range(10):
        count_value(cells, 0, MetricScale(0, 1, log=False), tenth / 10)
    return np.array(cells, dtype=np.int64).reshape(METRICS_MAX, METRIC_CELLS)


TEN_VALUES = ten_values()


def plan_of(kind: str) -> RolloutPlan:
    """A rollout that has this guardrail alone and waits for nothing but its evidence."""
    guardrail = {"kind": kind, **NEEDED.get(kind, {})}
    if "rise" in Guardrail.kinds[kind].schema:
        # So that a few thousand requests suffice where there is something to see.
        guardrail["rise"] = "10%"
    return RolloutPlan.from_config(
        {"burst": 0, "duration": "0s", "steps": ["10%", "50%", "100%"], "guardrails": [guardrail]},
        metrics=[METRIC],
    )


def nothing(_: int) -> ArmCounts:
    """An arm that nobody has asked."""
    return ArmCounts()


def bare(n: int) -> ArmCounts:
    """So many good answers, of which only the number is known."""
    return ArmCounts(
        started=n, finished=n, outcomes=tuple(n if i == Outcome.OK else 0 for i in range(OUTCOMES))
    )


def full(n: int) -> ArmCounts:
    """The same with everything that can be counted of them."""
    times = np.zeros(BUCKETS, dtype=np.int64)
    times[bucket(0.05)] = n
    return ArmCounts(
        started=n,
        finished=n,
        outcomes=tuple(n if i == Outcome.OK else 0 for i in range(OUTCOMES)),
        total=times,
        first_byte=times,
        first_token=times,
        token_time=times,
        metrics=TEN_VALUES * (n // 10),
        pairs=(n, 0),
    )


Arm = Callable[[int], ArmCounts]


def lacks(guardrail: Guardrail, arm: Arm) -> bool:
    """Whether an arm that is counted so has nothing to say to a guardrail."""
    sources = {process.event.source for process in guardrail.processes()}
    return arm is nothing or (arm is bare and not sources <= COUNTED)


def watched(
    plan: RolloutPlan, canary: Arm, control: Arm, came: list[tuple[int, int, float]], share: float | None
) -> tuple[Evidence, float]:
    """The evidence after looks at which so many requests had come since the last one."""
    evidence, n, now = Evidence.empty(), [0, 0], 0.0
    for more_c, more_t, seconds in came:
        n[0], n[1], now = n[0] + more_c, n[1] + more_t, now + seconds
        evidence = observe(
            evidence,
            plan,
            stage="r:0:1",
            canary=canary(n[0]),
            control=control(n[1]),
            now=now,
            share=share,
        )
    return evidence, now


CAME = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.25, 1.0, 30.0])), max_size=8
)


@pytest.mark.parametrize("kind", sorted(Guardrail.kinds))
@settings(max_examples=12, deadline=None)
@given(
    canary=st.sampled_from([nothing, bare, full]), control=st.sampled_from([nothing, bare, full]), came=CAME
)
def test_what_is_missing_is_no_pass_and_promotes_nothing(
    kind: str, canary: Arm, control: Arm, came: list[tuple[int, int, float]]
) -> None:
    """No request, one arm alone, no histogram, no metric, no pair, no share: undecided at every step."""
    plan = plan_of(kind)
    (guardrail,) = plan.guardrails
    if not (lacks(guardrail, canary) or (guardrail.compares and lacks(guardrail, control))):
        came = []
    evidence, now = watched(plan, canary, control, came, None)

    for step in STEPS:
        analysis = analyse(evidence, plan, now, step=step)
        (finding,) = analysis.findings
        assert finding.verdict in (Verdict.NO_DATA, Verdict.INCONCLUSIVE), (step, finding)
        assert finding.log_e <= 0, (step, finding)
        if guardrail.family is Family.PLUMBING:
            # An alarm that cannot ring: it neither promotes nor holds.
            assert not finding.holds
            continue
        assert analysis.verdict in (Verdict.NO_DATA, Verdict.INCONCLUSIVE), (step, analysis)
        if step is not None:
            rollout = Rollout(
                id="r-1",
                route="fraud",
                stable="v1",
                canary="v2",
                created_at=0.0,
                state=State.PROGRESSING,
                step=step,
                step_started_at=0.0,
            )
            moved = advance(rollout, plan, analysis, now)
            assert moved.decision is None or moved.decision.kind is DecisionKind.PAUSED, moved.decision


@pytest.mark.parametrize("kind", sorted(Guardrail.kinds))
def test_what_is_there_does_pass(kind: str) -> None:
    """So that the test above does not hold for a guardrail that never sees anything."""
    plan = plan_of(kind)
    came = [(4000, 4000, 1.0)] * 20

    evidence, now = watched(plan, full, full, came, 0.5)

    (finding,) = analyse(evidence, plan, now, step=0).findings
    assert finding.verdict is Verdict.PASS, finding
