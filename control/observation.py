"""Takes cumulative counts into the evidence: closes blocks, places the bets, keeps slices and thresholds.

A block is what came in since the last one: at least twelve requests of both arms together, or what there is
after ten seconds. Its end depends on the numbers of requests and the time only, never on how they ended. What
makes repeated and late reports harmless is that a block is the difference of two cumulative counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from control.evidence import ArmCounts, Baseline, Counts, Evidence, Raw, StageLedger
from control.plan import RolloutPlan
from control.stats.events import FAILURE, Source, Tally
from control.stats.latency import quantile_name, summary, threshold
from control.stats.overdispersion import phi, requests_per_unit
from control.stats.process import log_start_weight
from control.stats.sample_ratio import sample_ratio_log_e
from control.stats.sr import Watch, frozen_limit
from control.stats.wealth import Wealth
from control.view import ALONE_FROM, EvidenceView
from proxy.outcomes import Outcome

BLOCK_REQUESTS: Final = 12
BLOCK_SECONDS: Final = 10.0
# New starts of the bets on harm come a minute apart: more often costs prior, less often detection time.
START_SECONDS: Final = 60.0
# Control's quantiles drift with load, so latency thresholds are taken anew every minute.
REFRESH_SECONDS: Final = 60.0
# How long control's failures are remembered for telling a fault that both arms share.
RECENT_SECONDS: Final = 20.0
# Levels at which latency is shown, and the level of its intervals.
SHOWN_QUANTILES: Final = (0.5, 0.95, 0.99)
SHOWN_ALPHA: Final = 0.05

# Requests that ran into a deadline are slow, whatever the threshold.
_OVERDUE: Final[Mapping[Source, tuple[Outcome, ...]]] = {
    Source.FAILURE: (),
    Source.TOTAL: (Outcome.TIMEOUT_FIRST_BYTE, Outcome.TIMEOUT_IDLE, Outcome.TIMEOUT_TOTAL),
    Source.FIRST_BYTE: (Outcome.TIMEOUT_FIRST_BYTE,),
}


def observe(
    evidence: Evidence,
    plan: RolloutPlan,
    *,
    stage: str,
    canary: ArmCounts,
    control: ArmCounts,
    now: float,
    share: float | None = None,
) -> Evidence:
    """Take in the cumulative counts of a stage. The same counts twice count once.

    Args:
        stage: the stage the counts belong to; one that is not known begins and becomes current. Earlier ones
            may still be reported: their last requests may fail long after the weights have changed.
        now: seconds on a scale that never goes back.
        share: the canary's expected share in the requests of both arms, for the sample ratio; None leaves
            that without data.
    """
    known = next((ledger for ledger in evidence.stages if ledger.stage == stage), None)
    ledger = StageLedger(stage=stage, opened_at=now) if known is None else known
    if known is None:
        evidence = _begin_stage(evidence, ledger)
    raw = Raw.of(canary, control)
    if not ledger.raw.precedes(raw):
        # A report was lost with its process; what comes later in its place will be higher again.
        return evidence
    late = evidence.stages[-1].stage != stage
    if raw.diverted > ledger.raw.diverted:
        evidence = replace(evidence, diverted_at=now)
    evidence = _pass_time(evidence, plan, now)
    # Nothing starts in an earlier stage any more. Given the requests that were in flight, which of them
    # fail is as exchangeable between the arms as before, so there a block is made of what has ended since.
    n = raw.answered if late else (canary.exposed, control.exposed)
    base = ledger.answered if late else ledger.n
    grown = (n[0] - base[0], n[1] - base[1])
    due = sum(grown) >= BLOCK_REQUESTS or now - ledger.opened_at >= BLOCK_SECONDS
    if min(grown) < 0 or sum(grown) == 0 or not due:
        opened_at = now if sum(grown) == 0 else ledger.opened_at
        return evidence.with_stage(replace(ledger, raw=raw, opened_at=opened_at))
    counted = _counted(plan, {} if late else evidence.thresholds, canary, control)
    evidence, taken = _absorb(evidence, plan, ledger, grown, counted)
    after = replace(ledger, raw=raw, x={**ledger.x, **taken}, answered=raw.answered, opened_at=now)
    if late:
        return _peak(evidence.with_stage(after), plan)
    failed = tuple(taken[FAILURE.key][i] - ledger.x.get(FAILURE.key, (0, 0))[i] for i in (0, 1))
    evidence = _fade(evidence, grown[1], failed[1], now)
    if n[1] == 0 and n[0] >= ALONE_FROM:
        evidence = _watch(evidence, plan, grown[0], failed[0])
    keyed = _keyed(canary, control)
    came = grown
    if plan.sticky:
        # A key's requests all go one way, and those without a key all go to stable.
        came = (0, 0) if keyed is None else (keyed[0] - ledger.keyed[0], keyed[1] - ledger.keyed[1])
    after = replace(after, keyed=ledger.keyed if keyed is None else keyed)
    if evidence.diverted_at is None or evidence.diverted_at < ledger.opened_at:
        # While requests are diverted, the canary's share is meant to be smaller.
        after = replace(after, units=(ledger.units[0] + came[0], ledger.units[1] + came[1]))
    evidence = _refresh(evidence.with_stage(replace(after, n=n)), plan, canary, control, now)
    return _peak(_note(evidence, plan, canary, control, share, now), plan)


def _fade(evidence: Evidence, n: int, x: int, now: float) -> Evidence:
    """Add a block of control to what is remembered of its last seconds."""
    kept = math.exp((evidence.recent_at - now) / RECENT_SECONDS)
    recent = (evidence.recent[0] * kept + n, evidence.recent[1] * kept + x)
    return replace(evidence, recent=recent, recent_at=now)


def _watch(evidence: Evidence, plan: RolloutPlan, n: int, x: int) -> Evidence:
    """Hold the canary, which has all requests now, against what control was like before."""
    baseline = evidence.baseline
    if baseline is None:
        tally = evidence.tally(FAILURE.key)
        if not tally.n_control:
            return evidence
        margins = plan.margins
        limit = frozen_limit(tally.x_control, tally.n_control, margins.promote_ratio, margins.promote_rise)
        baseline = Baseline(limit=limit, log_r=Watch(limit).begin())
    log_r = Watch(baseline.limit).absorb(baseline.log_r, n, x)
    return replace(
        evidence,
        baseline=Baseline(limit=baseline.limit, log_r=log_r, n=baseline.n + n, x=baseline.x + x),
    )


def _peak(evidence: Evidence, plan: RolloutPlan) -> Evidence:
    log_e = EvidenceView(evidence, plan).combined_log_e()
    return evidence if log_e <= evidence.log_peak else replace(evidence, log_peak=log_e)


def _begin_stage(evidence: Evidence, ledger: StageLedger) -> Evidence:
    _, log_e, earlier = evidence.sample_ratio
    if evidence.current is not None:
        # Only failures are still taken in from a stage that has ended.
        failures = {key: x for key, x in evidence.current.x.items() if key == FAILURE.key}
        evidence = evidence.with_stage(replace(evidence.current, x=failures))
    return replace(
        evidence.with_stage(ledger),
        sample_ratio=(None, 0.0, earlier + log_e),
        diverted_at=None,
        baseline=None,
        latency={},
    )


def _pass_time(evidence: Evidence, plan: RolloutPlan, now: float) -> Evidence:
    """Close the slices of time that have ended, and make new starts when they are due."""
    schedule = evidence.schedule
    if schedule.slice_at is None or schedule.start_at is None:
        return replace(evidence, schedule=replace(schedule, slice_at=now, start_at=now))
    care = plan.caution
    due = now - schedule.start_at >= START_SECONDS
    ended = int((now - schedule.slice_at) // care.slice_s) if care.slice_s > 0 else int(due)
    if ended <= 0:
        return evidence
    start = due and schedule.fresh
    starts = schedule.starts + 1 if start else schedule.starts
    wealth = dict(evidence.wealth)
    for process in plan.processes:
        held = wealth.get(process.key)
        if held is None or not process.harm:
            continue
        held = held.fit(care)
        # Empty slices move windows on like any other; after a window and a gap nothing changes any more.
        for _ in range(min(ended, care.window + care.gap + 1)):
            held = held.close(care)
        wealth[process.key] = held.start(log_start_weight(starts)) if start else held
    return replace(
        evidence,
        wealth=wealth,
        schedule=replace(
            schedule,
            slice_at=schedule.slice_at + ended * care.slice_s if care.slice_s > 0 else now,
            start_at=now if due else schedule.start_at,
            starts=starts,
            fresh=schedule.fresh and not due,
        ),
    )


def _counted(
    plan: RolloutPlan, thresholds: Mapping[str, int], canary: ArmCounts, control: ArmCounts
) -> dict[str, tuple[int, int]]:
    """Requests with each event so far in the stage, canary first; events without a threshold are left out."""
    found = {FAILURE.key: (canary.failed, control.failed)}
    sums: dict[tuple[Source, int], Counts] = {}
    for event in plan.events:
        if event.source is Source.FAILURE:
            continue
        bucket = thresholds.get(event.threshold)
        if bucket is None:
            continue
        slow = []
        for which, (arm, shift) in enumerate(((canary, event.shift), (control, 0))):
            key = (event.source, which)
            if key not in sums:
                sums[key] = np.cumsum(_histogram(arm, event.source))
            below = sums[key]
            overdue = sum(arm.outcomes[outcome] for outcome in _OVERDUE[event.source])
            slow.append(int(below[-1] - below[min(bucket + shift, len(below) - 1)]) + overdue)
        found[event.key] = (slow[0], slow[1])
    return found


def _histogram(arm: ArmCounts, source: Source) -> Counts:
    return arm.total if source is Source.TOTAL else arm.first_byte


def _absorb(
    evidence: Evidence,
    plan: RolloutPlan,
    ledger: StageLedger,
    grown: tuple[int, int],
    counted: Mapping[str, tuple[int, int]],
) -> tuple[Evidence, dict[str, tuple[int, int]]]:
    """Place every bet on one block; returns the evidence and what has been taken in of each event."""
    taken: dict[str, tuple[int, int]] = {}
    blocks: dict[str, tuple[int, int, int, int]] = {}
    for key, x in counted.items():
        before = ledger.x.get(key, (0, 0))
        # Requests of earlier blocks may end in this one: what does not fit waits for the next.
        new = [min(max(0, x[i] - before[i]), grown[i]) for i in (0, 1)]
        taken[key] = (before[0] + new[0], before[1] + new[1])
        blocks[key] = (grown[0], grown[1], new[0], new[1])
    wealth, tallies = dict(evidence.wealth), dict(evidence.tallies)
    for key, block in blocks.items():
        tallies[key] = tallies.get(key, Tally()).add(*block)
    care = plan.caution
    for process in plan.processes:
        block_of = blocks.get(process.event.key)
        if block_of is None:
            continue
        held = wealth.get(process.key) or Wealth.begin(process, care)
        increments = process.bet.log_increments(*block_of)
        wealth[process.key] = held.absorb(increments if evidence.phi == 1.0 else increments / evidence.phi)
    return (
        replace(evidence, wealth=wealth, tallies=tallies, schedule=replace(evidence.schedule, fresh=True)),
        taken,
    )


def _keyed(canary: ArmCounts, control: ArmCounts) -> tuple[int, int] | None:
    """Requests that were assigned by a key; None when they are not counted."""
    if canary.group_requests is None or control.group_requests is None:
        return None
    return int(canary.group_requests.sum()), int(control.group_requests.sum())


def _refresh(
    evidence: Evidence, plan: RolloutPlan, canary: ArmCounts, control: ArmCounts, now: float
) -> Evidence:
    """Take latency thresholds from what control has answered so far, for blocks still to come."""
    at = evidence.schedule.refresh_at
    wanted = {event.threshold: event for event in plan.events if event.source is not Source.FAILURE}
    overdue = at is None or now - at >= REFRESH_SECONDS
    if not wanted or not (overdue or wanted.keys() - evidence.thresholds.keys()):
        return evidence
    thresholds = dict(evidence.thresholds)
    for key, event in wanted.items():
        if not overdue and key in thresholds:
            continue
        bucket = threshold(_histogram(control, event.source), event.quantile)
        if bucket is not None:
            thresholds[key] = bucket
    if overdue:
        evidence = replace(evidence, schedule=replace(evidence.schedule, refresh_at=now))
    if thresholds == evidence.thresholds:
        return evidence
    changed = {key for key, bucket in thresholds.items() if evidence.thresholds.get(key) != bucket}
    ledger = evidence.current
    assert ledger is not None
    # Counting begins anew at the new threshold: what was slower so far has been judged by the old one.
    counted = _counted(plan, thresholds, canary, control)
    moved = {e.key: counted[e.key] for e in plan.events if e.key in counted and e.threshold in changed}
    return replace(evidence.with_stage(replace(ledger, x={**ledger.x, **moved})), thresholds=thresholds)


def _note(
    evidence: Evidence,
    plan: RolloutPlan,
    canary: ArmCounts,
    control: ArmCounts,
    share: float | None,
    now: float,
) -> Evidence:
    """Keep what is shown, and what belongs to the whole stage rather than to a block."""
    ratio = evidence.sample_ratio
    if share is not None and 0 < share < 1:
        n_c, n_t = evidence.stages[-1].units
        together = 1.0
        if plan.sticky and canary.group_requests is not None and control.group_requests is not None:
            together = requests_per_unit(canary.group_requests, control.group_requests)
        ratio = (share, sample_ratio_log_e(n_c / together, n_t / together, share), ratio[2])
    groups = [
        (arm.group_requests, arm.group_failures)
        for arm in (canary, control)
        if arm.group_requests is not None and arm.group_failures is not None
    ]
    first = evidence.first_failure_at
    if first is None and evidence.tally(FAILURE.key).x_canary > 0:
        first = now
    return replace(
        evidence,
        sample_ratio=ratio,
        phi=phi(*groups) if groups else evidence.phi,
        first_failure_at=first,
        latency=_shown_latency(plan, canary, control),
    )


def _shown_latency(plan: RolloutPlan, canary: ArmCounts, control: ArmCounts) -> dict[str, Any]:
    """By source, arm and quantile: [seconds, low, high]."""
    levels = sorted({*SHOWN_QUANTILES, *(event.quantile for event in plan.events if event.quantile)})
    names = [quantile_name(level) for level in levels]
    array = np.array(levels)
    return {
        source.name.lower(): {
            name: dict(zip(names, summary(_histogram(arm, source), array, SHOWN_ALPHA), strict=True))
            for name, arm in (("canary", canary), ("control", control))
        }
        for source in {Source.TOTAL, *(event.source for event in plan.events)} - {Source.FAILURE}
    }
