"""Counts into evidence: blocks, repeats, late reports, starts, thresholds, from any number of nodes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.counts import loads_counts, make_counts
from control.judge import arm_counts
from control.judgement.analysis import analyse
from control.judgement.betting import views
from control.judgement.evidence import ArmCounts, Evidence
from control.judgement.observation import BLOCK_REQUESTS, observe
from control.judgement.view import EvidenceView
from control.plans.plan import RolloutPlan
from control.stats.events import FAILURE, Event, Source
from control.stats.mixture import LOG_ODDS_WEIGHTS, mixture_path
from control.stats.process import LOG_FIRST_START, HarmProcess
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES, Outcome
from tests.control.feeding import Feeder, bucket

PLAN = RolloutPlan.from_config({"burst": 0, "guardrails": [{"kind": "error_rate_rise"}]})
ODDS_KEY = next(process.key for process in PLAN.processes if "odds" in process.key)


def log_values(evidence: Evidence) -> list[float]:
    wealth = evidence.wealth[ODDS_KEY]
    values: list[float] = (wealth.free + wealth.pending).tolist()
    return values


def test_blocks_are_what_came_in_between() -> None:
    """The state equals the product of the blocks' e-values, computed directly."""
    watched = Feeder(PLAN)
    blocks = [(30, 40, 1, 0), (25, 31, 0, 1), (44, 28, 3, 1), (15, 15, 2, 0)]
    for block in blocks:
        watched.tick(*block)

    (guardrail,) = PLAN.guardrails
    log_e = watched.view().harm(next(p for p in guardrail.processes() if p.harm))  # type: ignore[arg-type]

    # Only a part of the prior is on the start at the beginning.
    assert log_e == pytest.approx(
        float(mixture_path(blocks, LOG_ODDS_WEIGHTS)[-1]) + LOG_FIRST_START, rel=1e-3
    )
    assert watched.evidence.tally("failure").n_canary == sum(block[0] for block in blocks)


def test_the_same_counts_twice_count_once() -> None:
    """Repeated snapshots, also after a restart from JSON, leave the evidence where it was."""
    watched = Feeder(PLAN)
    watched.tick(50, 50, 2, 1)
    before = watched.evidence
    for _ in range(5):
        watched.report(seconds=0.2)
        watched.evidence = Evidence.from_json(json.loads(json.dumps(watched.evidence.to_json())))

    assert log_values(watched.evidence) == log_values(before)
    assert watched.evidence.tallies == before.tallies


def test_small_blocks_wait_for_more_or_for_ten_seconds() -> None:
    """A few requests of both arms are no block yet, unless nothing more comes for a while."""
    watched = Feeder(PLAN)
    watched.tick(5, 5, 1, 0)
    assert watched.evidence.tally("failure").n_canary == 0
    watched.tick(4, BLOCK_REQUESTS - 10)
    assert watched.evidence.tally("failure").n_canary == 9

    watched.tick(2, 2)
    for _ in range(8):
        watched.report()
    assert watched.evidence.tally("failure").n_canary == 9
    for _ in range(3):
        watched.report()
    assert watched.evidence.tally("failure").n_canary == 11


def test_failures_of_earlier_requests_are_carried() -> None:
    """More failures than requests in a block: what does not fit counts with the next, and none is lost."""
    watched = Feeder(PLAN)
    watched.canary.serve(50, hanging=40)
    watched.control.serve(50)
    watched.report()
    watched.canary.end(40)
    watched.tick(10, 20)
    assert watched.evidence.tally("failure").x_canary == 10
    watched.tick(100, 100)

    assert watched.evidence.tally("failure").x_canary == 40


def test_aborted_overridden_and_lost_requests_are_nobodys_failure() -> None:
    """They are neither good nor bad, so they are not counted at all."""
    watched = Feeder(PLAN)
    watched.canary.serve(60, aborted=20)
    watched.canary.started += 15
    watched.canary.lost = 5
    watched.canary.finished += 10
    watched.canary.outcomes[Outcome.OVERRIDE] = 10
    watched.control.serve(40)
    watched.report()

    assert watched.evidence.tally("failure").n_canary == 40
    assert watched.analyse().in_flight == (0, 0)


def test_what_an_ejected_endpoint_failed_condemns_nobody() -> None:
    """Neither as failures nor as slow requests; what failed elsewhere counts as ever."""
    plan = RolloutPlan.from_config(
        {
            "burst": 0,
            "guardrails": [{"kind": "error_rate_rise"}, {"kind": "latency_ratio", "quantiles": ["p50"]}],
        }
    )
    watched = Feeder(plan)
    for _ in range(10):
        watched.tick(40, 40)
    counts, aside = watched.canary, [0] * OUTCOMES
    for second in range(10):
        counts.serve(60, 0)
        counts.started += 20
        counts.end(20)
        aside[Outcome.TIMEOUT_FIRST_BYTE] += 20
        watched.control.serve(60)
        watched.now += 1.0
        row = make_counts(
            {"started": counts.started, "finished": counts.finished, "failed": counts.failed},
            counts.outcomes,
            [(bucket(0.05), int(counts.total.sum()))],
            [],
            aside=[(i, n) for i, n in enumerate(aside) if n],
        )
        assert loads_counts(row.dumps()).aside == tuple(aside)
        watched.evidence = observe(
            watched.evidence,
            plan,
            stage=watched.stage,
            canary=arm_counts(row),
            control=watched.control.counts(),
            now=watched.now,
        )
        assert watched.evidence.tally("failure").n_canary <= 400 + 60 * (second + 1)

    assert watched.evidence.tally("failure").x_canary == 0
    assert watched.evidence.outcomes["canary"] == {"ok": 1000, "set_aside": 200}
    assert watched.analyse().log_e < 1
    for event in plan.events:
        assert watched.evidence.tally(event.key).x_canary == 0


def test_counts_that_fall_are_waited_out() -> None:
    """A node's counts go missing for a while and come back: nothing is counted twice."""
    watched = Feeder(PLAN)
    for _ in range(5):
        watched.tick(50, 50, 1, 1)
    whole = watched.canary.counts(), watched.control.counts()
    before = watched.evidence
    part = replace(whole[0], started=100, finished=100, failed=2)

    after = observe(before, PLAN, stage=watched.stage, canary=part, control=whole[1], now=6.0)
    assert after == before
    watched.tick(50, 50, 1, 1)

    assert watched.evidence.tally("failure").n_canary == 300


def test_late_failures_of_an_earlier_stage_are_not_lost() -> None:
    """Requests that hang when the weight changes and then time out still count against the canary."""
    watched = Feeder(PLAN)
    watched.tick(100, 100)
    watched.canary.serve(60, hanging=60)
    watched.control.serve(60, hanging=60)
    watched.report()
    old = watched.stage, watched.canary, watched.control
    watched.begin("r:1:2")
    watched.tick(50, 50)
    new = watched.stage, watched.canary, watched.control
    log_before = max(log_values(watched.evidence))
    old[1].end(60)
    old[2].finished += 60
    watched.stage, watched.canary, watched.control = old
    watched.report(seconds=12.0)

    assert watched.evidence.tally("failure").x_canary == 60
    assert max(log_values(watched.evidence)) > log_before + 20
    assert watched.evidence.stages[-1].stage == "r:1:2"
    again = watched.evidence
    watched.report()
    assert log_values(watched.evidence) == log_values(again)
    watched.stage, watched.canary, watched.control = new
    watched.tick(50, 50)
    assert watched.evidence.tally("failure").n_canary == 160 + 60 + 100


def test_stages_never_share_a_block() -> None:
    """A new stage begins at zero, and what it counts is not compared with the one before."""
    watched = Feeder(PLAN)
    watched.tick(5, 5, 1, 1)
    watched.begin("r:1:2")
    watched.tick(30, 30, 0, 0)

    assert watched.evidence.stages[-1].n == (30, 30)
    assert watched.evidence.tally("failure").n_canary == 30


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_any_number_of_nodes_in_any_order_give_the_same_evidence(seed: int, nodes: int) -> None:
    """Splitting requests over nodes and repeating or reordering their reports in a tick is invisible."""
    rng = np.random.default_rng(seed)
    one, many = Evidence.empty(), Evidence.empty()
    totals = np.zeros((nodes, 2, 2), dtype=np.int64)
    seen = totals.copy()
    for second in range(1, 15):
        fresh = rng.poisson(8, size=(nodes, 2))
        totals[:, :, 0] += fresh
        totals[:, :, 1] += rng.binomial(fresh, 0.05)
        order = rng.permutation(np.repeat(np.arange(nodes), 2))
        for node in order:
            seen[node] = totals[node]
        many = _observe(many, seen.sum(axis=0), second)
        for _ in range(int(rng.integers(1, 4))):
            many = _observe(many, seen.sum(axis=0), second)
        one = _observe(one, totals.sum(axis=0), second)

    assert log_values(many) == log_values(one)
    assert many.tallies == one.tallies


def test_latency_thresholds_come_from_the_past_only() -> None:
    """The answers that set a threshold are not judged by it; the next ones are."""
    plan = RolloutPlan.from_config(
        {"burst": 0, "guardrails": [{"kind": "latency_ratio", "quantiles": ["p50"], "max": 1.0}]}
    )
    event = Event(source=Source.TOTAL, quantile=0.5)
    watched = Feeder(plan)
    watched.tick(100, 100)
    assert watched.evidence.thresholds == {"total:0.5": bucket(0.05)}
    assert watched.evidence.tally(event.key).n_canary == 0
    watched.canary.serve(40, slow=30)
    watched.control.serve(40)
    watched.report()

    tally = watched.evidence.tally(event.key)
    assert (tally.n_canary, tally.x_canary, tally.x_control) == (40, 30, 0)


def test_thresholds_are_taken_anew_every_minute() -> None:
    """Control becomes slower for everybody; the threshold follows, and nothing is counted twice."""
    plan = RolloutPlan.from_config(
        {"burst": 0, "guardrails": [{"kind": "latency_ratio", "quantiles": ["p50"], "max": 1.0}]}
    )
    event = Event(source=Source.TOTAL, quantile=0.5)
    watched = Feeder(plan)
    watched.tick(50, 50)
    for _ in range(70):
        watched.canary.serve(50, slow=50)
        watched.control.serve(50, slow=50)
        watched.report()

    assert watched.evidence.thresholds["total:0.5"] >= bucket(1.0) - 1
    tally = watched.evidence.tally(event.key)
    assert tally.x_canary == tally.x_control <= tally.n_canary == 3500


def test_a_guardrail_that_comes_later_does_not_inherit_the_past() -> None:
    """Another factor asks another event of the same threshold: it is counted from then on, on both arms."""
    slow, other = (
        {"kind": "latency_ratio", "quantiles": ["p90"], "max": factor, "name": f"x{factor:g}"}
        for factor in (1.0, 1.5)
    )
    watched = Feeder({"burst": 0, "guardrails": [slow]})
    watched.tick(100, 100)
    for _ in range(30):
        # Nobody minded that one arm is the slower one, and by how much.
        watched.canary.serve(20, slow=8)
        watched.control.serve(20, slow=2)
        watched.report()
    watched.evidence = Evidence.from_json(json.loads(json.dumps(watched.evidence.to_json())))
    watched.plan = RolloutPlan.from_config({"burst": 0, "guardrails": [slow, other]})
    event = Event(source=Source.TOTAL, quantile=0.9, shift=watched.plan.guardrails[1].events[0].shift)  # type: ignore[attr-defined]
    watched.tick(20, 20)
    assert watched.evidence.tally(event.key).n_canary == 0
    for _ in range(20):
        watched.tick(20, 20)

    tally = watched.evidence.tally(event.key)
    assert (tally.n_canary, tally.x_canary, tally.x_control) == (400, 0, 0)

    # One that was given up for a while has not counted meanwhile either.
    watched.plan = RolloutPlan.from_config({"burst": 0, "guardrails": [slow]})
    watched.canary.serve(200, slow=150)
    watched.control.serve(200)
    watched.report()
    watched.plan = RolloutPlan.from_config({"burst": 0, "guardrails": [slow, other]})
    for _ in range(3):
        watched.tick(20, 20)
    assert watched.evidence.tally(event.key).x_canary == 0


def test_answers_are_asked_when_they_come_not_when_they_were_asked_for() -> None:
    """Where answers take several seconds, what starts in a block says nothing of what ends in it."""
    plan = RolloutPlan.from_config(
        {"burst": 0, "guardrails": [{"kind": "latency_ratio", "quantiles": ["p50"], "max": 1.0}]}
    )
    event = Event(source=Source.TOTAL, quantile=0.5)
    watched = Feeder(plan)
    watched.tick(100, 100)
    for arm in (watched.canary, watched.control):
        arm.serve(1000, hanging=1000)
    watched.report()
    assert watched.evidence.tally(event.key).n_canary == 0
    # Then traffic all but stops, and what was in flight comes back, the slow ones last.
    for slow in (0, 100, 200):
        for arm in (watched.canary, watched.control):
            arm.serve(5)
            arm.answer(200, slow=slow)
        watched.report()
        watched.report(seconds=10.0)

    tally = watched.evidence.tally(event.key)
    assert (tally.n_canary, tally.n_control) == (615, 615)
    assert (tally.x_canary, tally.x_control) == (300, 300)


def test_a_time_that_is_missing_is_nobodys() -> None:
    """A killed worker took times along: such answers are neither quick nor slow, then or later."""
    plan = RolloutPlan.from_config(
        {"burst": 0, "guardrails": [{"kind": "latency_ratio", "quantiles": ["p50"], "max": 1.0}]}
    )
    event = Event(source=Source.TOTAL, quantile=0.5)
    watched = Feeder(plan)
    watched.tick(100, 100)
    watched.begin("r:1:2")
    watched.canary.serve(60)
    watched.canary.total[:] = 0
    watched.control.serve(60)
    for _ in range(10):
        watched.canary.serve(60, slow=3)
        watched.control.serve(60, slow=3)
        watched.report()

    tally = watched.evidence.tally(event.key)
    assert (tally.n_canary, tally.n_control) == (600, 660)
    assert (tally.x_canary, tally.x_control) == (30, 30)


def test_late_starts_find_harm_that_begins_late() -> None:
    """After half an hour of health a fresh start finds in seconds what the first would take minutes for."""
    watched = Feeder(PLAN)
    for _ in range(1800):
        watched.tick(10, 10)
    watched.evidence = Evidence.from_json(watched.evidence.to_json())
    assert watched.evidence.schedule.starts == 29
    seconds = 0
    while watched.analyse().log_e < np.log(100) and seconds < 200:
        watched.tick(10, 10, 3, 0)
        seconds += 1

    assert seconds <= 20


def test_idle_time_makes_no_new_starts() -> None:
    """A night without requests does not spend the prior."""
    watched = Feeder(PLAN)
    watched.tick(50, 50)
    for _ in range(100):
        watched.report(seconds=60.0)

    assert watched.evidence.schedule.starts <= 2


def by_keys(seconds: int, *, stage: str, evidence: Evidence, uneven: bool, now: float = 0.0) -> Evidence:
    """A canary that fails four times as often as control, and keys that fail all alike or very unequally."""
    failing = np.ones(64, dtype=np.int64)
    if uneven:
        failing[4:], failing[:4] = 0, 16
    for second in range(1, seconds + 1):
        arms = [
            ArmCounts(
                started=20 * 64 * second,
                finished=20 * 64 * second,
                failed=times * 64 * second,
                groups=np.stack(
                    (np.full(64, 20 * second), failing * times * second, *np.zeros((6, 64), int))
                ),
            )
            for times in (4, 1)
        ]
        evidence = observe(evidence, PLAN, stage=stage, canary=arms[0], control=arms[1], now=now + second)
    return evidence


def test_overdispersion_of_keys_divides_all_evidence() -> None:
    """What was won early is divided by what is known of the keys in the end."""
    even = by_keys(10, stage="r:0:1", evidence=Evidence.empty(), uneven=False)
    uneven = by_keys(10, stage="r:0:1", evidence=Evidence.empty(), uneven=True)
    process = next(one for one in PLAN.processes if one.key == ODDS_KEY)
    assert isinstance(process, HarmProcess)

    assert even.phi[0] == 1.0
    assert uneven.phi[0] > 5
    assert log_values(uneven) == log_values(even)
    whole = EvidenceView(even, PLAN).harm(process)
    assert EvidenceView(uneven, PLAN).harm(process) == pytest.approx(whole / uneven.phi[0])
    assert whole > 20


def slow_keys(*, uneven: bool) -> tuple[RolloutPlan, Evidence]:
    """A minute of a canary with more slow answers than control, from all keys alike or from a few of them."""
    watched = Feeder({"burst": 0, "guardrails": [{"kind": "error_rate_rise"}, {"kind": "latency_ratio"}]})
    share = np.ones(64, dtype=np.int64)
    if uneven:
        share[4:], share[:4] = 0, 16
    for second in range(1, 61):
        watched.canary.serve(6400, 64, slow=64 * 12)
        watched.control.serve(6400, 64, slow=64 * 8)
        watched.now += 1.0
        arms = []
        for arm, slow in ((watched.canary, 12), (watched.control, 8)):
            groups = np.full((8, 64), second)
            groups[0] *= 100
            groups[2] *= 99 - slow * share
            groups[3:7] = 0
            groups[7] *= slow * share
            arms.append(arm.counts(groups=groups))
        canary, control = arms
        watched.evidence = observe(
            watched.evidence, watched.plan, stage="r:0:1", canary=canary, control=control, now=watched.now
        )
    return watched.plan, watched.evidence


def test_keys_with_slow_answers_make_latency_less_sure_and_nothing_else() -> None:
    """Each bet is divided by what was found at its own quantile, also where many are worked out at once."""
    plan, even = slow_keys(uneven=False)
    _, uneven = slow_keys(uneven=True)
    harm = [one for one in plan.processes if isinstance(one, HarmProcess)]
    failure = next(one for one in harm if one.event == FAILURE)
    slow = [one for one in harm if one.event != FAILURE]
    mine, other = EvidenceView(uneven, plan), EvidenceView(even, plan)

    assert even.phi == (1.0,) * 6
    assert uneven.phi[0] == 1.0
    assert min(uneven.phi[1:]) > 5
    assert mine.harm(failure) == other.harm(failure)
    for process in slow:
        assert mine.harm(process) == pytest.approx(other.harm(process) / uneven.phi[5])
    (at_once,) = views([(uneven, plan)])
    assert [at_once.harm(process) for process in slow] == [mine.harm(process) for process in slow]
    shown = analyse(uneven, plan, 60.0).overdispersion_latency
    assert list(shown) == ["p25", "p50", "p75", "p90", "p99"]
    assert tuple(shown.values()) == uneven.phi[1:]
    note = f"keys differ {uneven.phi[5]:.1f} times as much as by chance in how slow they are"
    assert analyse(uneven, plan, 60.0).note.startswith(note)
    assert analyse(even, plan, 60.0).note == ""


def test_users_are_known_from_stage_to_stage() -> None:
    """A new stage begins with what its predecessors have shown of the keys, also after a restart."""
    first = by_keys(10, stage="r:0:1", evidence=Evidence.empty(), uneven=True)
    again = Evidence.from_json(json.loads(json.dumps(first.to_json())))
    second = by_keys(1, stage="r:1:2", evidence=again, uneven=False, now=10.0)
    longer = by_keys(10, stage="r:1:2", evidence=again, uneven=True, now=10.0)

    assert again.keys.phi() == first.phi
    assert second.phi[0] > first.phi[0] / 2, "one even second does not make up for ten uneven ones"
    assert longer.phi[0] > first.phi[0] * 1.5, "the same users have twice the requests"


def test_evidence_stays_small_and_exact() -> None:
    """An hour over ten stages with every guardrail: bounded JSON that loses nothing."""
    kinds: list[dict[str, Any]] = [
        {"kind": "error_rate", "max": "2%"},
        {"kind": "error_rate_rise"},
        {"kind": "latency_ratio"},
        {"kind": "first_byte_ratio"},
        {"kind": "sample_ratio"},
    ]
    watched = Feeder({"guardrails": kinds})
    sizes = []
    for stage in range(10):
        watched.begin(f"r:{stage}:{stage}")
        for _ in range(40):
            watched.tick(40, 40, 0, 1, seconds=9.0, share=0.5)
        sizes.append(len(json.dumps(watched.evidence.to_json())))

    again = Evidence.from_json(json.loads(json.dumps(watched.evidence.to_json())))
    assert again.to_json() == watched.evidence.to_json()
    assert sizes[-1] < 80_000
    assert sizes[-1] - sizes[1] < 8 * 300
    assert watched.evidence.tally(FAILURE.key).n_canary == 16_000


def test_billions_of_requests_are_no_trouble() -> None:
    """Cumulative counts far beyond any test stay finite."""
    watched = Feeder(PLAN)
    for _ in range(3):
        watched.tick(10**9, 10**9, 10**6, 10**6)

    analysis = watched.analyse()
    assert np.isfinite(log_values(watched.evidence)).all()
    assert np.isfinite(analysis.log_e)
    assert json.loads(json.dumps(analysis.to_json(), allow_nan=False))


def _observe(evidence: Evidence, totals: np.ndarray, second: int) -> Evidence:
    canary, control = (
        ArmCounts(
            started=int(n),
            finished=int(n),
            failed=int(x),
            outcomes=(0,) * OUTCOMES,
            total=np.zeros(BUCKETS, dtype=np.int64),
        )
        for n, x in totals
    )
    return observe(evidence, PLAN, stage="r:0:1", canary=canary, control=control, now=float(second))


def test_a_canary_with_all_requests_is_held_against_what_control_was_like() -> None:
    """No control is left: its last rate and the margin are the limit, until control comes back."""
    watched = Feeder(PLAN)
    for _ in range(100):
        watched.tick(50, 50, 0, 1)
    watched.begin("r:1:2")
    for _ in range(60):
        watched.tick(100, 0, 1, 0)
    healthy = watched.analyse(step=4)
    assert watched.evidence.baseline is not None
    assert watched.evidence.baseline.limit == pytest.approx(1.2 * 101 / 5002 + 0.005)
    for _ in range(20):
        watched.tick(100, 0, 20, 0)
    watched.evidence = Evidence.from_json(json.loads(json.dumps(watched.evidence.to_json())))
    risen = watched.analyse(step=4)

    assert healthy.hold == ""
    assert risen.hold_code == "baseline"
    assert "it is not promoted" in risen.hold
    watched.begin("r:0:3")
    watched.tick(50, 50)
    assert watched.evidence.baseline is None


def test_another_length_of_bursts_is_taken_up() -> None:
    """A plan that is changed on the way finds its evidence in another shape."""
    watched = Feeder(PLAN)
    for _ in range(10):
        watched.tick(50, 50, 1, 1)
    for burst in (60.0, 0.0, 6.0):
        watched.plan = replace(PLAN, burst_s=burst)
        for _ in range(30):
            watched.tick(50, 50, 5, 1)

        assert watched.evidence.wealth[ODDS_KEY].register.shape == (
            watched.plan.caution.window + watched.plan.caution.gap,
            16,
        )
    assert watched.analyse().log_e > np.log(100)
