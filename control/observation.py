"""Takes cumulative counts into the evidence: closes blocks, places the bets, keeps slices and thresholds.

A block is what came in since the last one: at least twelve requests of both arms together, or what there is
after ten seconds. Its end depends on the numbers of requests and the time only, never on how they ended. What
makes repeated and late reports harmless is that a block is the difference of two cumulative counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from control.betting import Bets, place, take, views
from control.evidence import ArmCounts, Baseline, Evidence, Raw, StageLedger
from control.plan import RolloutPlan
from control.shown import shown_latency, shown_metrics, shown_outcomes
from control.stats.events import FAILURE, Source
from control.stats.overdispersion import phi, requests_per_unit
from control.stats.process import log_start_weight
from control.stats.sample_ratio import sample_ratio_log_e
from control.stats.sr import Watch, frozen_limit
from control.tallying import Counted, counted, new_threshold
from control.view import ALONE_FROM

BLOCK_REQUESTS: Final = 12
BLOCK_SECONDS: Final = 10.0
# New starts of the bets on harm come a minute apart: more often costs prior, less often detection time.
START_SECONDS: Final = 60.0
# Control's quantiles drift with load, so latency thresholds are taken anew every minute.
REFRESH_SECONDS: Final = 60.0
# How long control's failures are remembered for telling a fault that both arms share.
RECENT_SECONDS: Final = 20.0
# Quantiles are for people to look at, so they need not be as fresh as what decides.
SHOWN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The cumulative counts of a stage, to be taken into the evidence of a rollout."""

    evidence: Evidence
    plan: RolloutPlan
    stage: str
    """The stage the counts belong to; one that is not known begins and becomes current. Earlier ones may
    still be reported: their last requests may fail long after the weights have changed."""
    canary: ArmCounts
    control: ArmCounts
    now: float
    """Seconds on a scale that never goes back."""
    share: float | None = None
    """The canary's expected share in the requests of both arms, for the sample ratio; None leaves that
    without data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """What came in with a look, before anything is bet on it."""

    look: Look
    bets: Bets
    before: StageLedger
    ledger: StageLedger
    grown: tuple[int, int]
    current: bool
    """Whether requests of the current stage came in; otherwise it is about those of an earlier one, or about
    what is known later."""


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
    """Take in cumulative counts, as `Look` describes them. The same counts twice count once."""
    look = Look(
        evidence=evidence,
        plan=plan,
        stage=stage,
        canary=canary,
        control=control,
        now=now,
        share=share,
    )
    return observe_all([look])[0]


def observe_all(looks: Sequence[Look]) -> list[Evidence]:
    """Take in one look at each of many rollouts; what their bets have in common is worked out once."""
    opened = [_open(look) for look in looks]
    blocks = [found for found in opened if isinstance(found, _Block)]
    placed = iter(place([block.bets for block in blocks]))
    after = [_close(found, next(placed)) if isinstance(found, _Block) else found for found in opened]
    changed = [i for i, found in enumerate(opened) if isinstance(found, _Block)]
    for i, view in zip(changed, views([(after[i], looks[i].plan) for i in changed]), strict=True):
        log_e = view.combined_log_e()
        if log_e > after[i].log_peak:
            after[i] = replace(after[i], log_peak=log_e)
    return after


def _open(look: Look) -> Evidence | _Block:
    """See what came in; the evidence when there is nothing to bet on yet."""
    evidence, plan, now = look.evidence, look.plan, look.now
    canary, control = look.canary, look.control
    known = next((ledger for ledger in evidence.stages if ledger.stage == look.stage), None)
    ledger = StageLedger(stage=look.stage, opened_at=now, begun_at=now) if known is None else known
    if known is None:
        evidence = _begin_stage(evidence, plan, ledger)
        ledger = evidence.stages[-1]
    raw = Raw.of(canary, control)
    if not ledger.raw.precedes(raw):
        # A report was lost with its process; what comes later in its place will be higher again.
        return evidence
    late = evidence.stages[-1].stage != look.stage
    if raw.diverted > ledger.raw.diverted:
        evidence = replace(evidence, diverted_at=now)
    evidence = _pass_time(evidence, plan, now)
    # Nothing starts in an earlier stage any more. Given the requests that were in flight, which of them
    # fail is as exchangeable between the arms as before, so there a block is made of what has ended since.
    n = raw.answered if late else (canary.exposed, control.exposed)
    base = ledger.answered if late else ledger.n
    grown = (n[0] - base[0], n[1] - base[1])
    due = sum(grown) >= BLOCK_REQUESTS or now - ledger.opened_at >= BLOCK_SECONDS
    idle = sum(grown) == 0
    if min(grown) < 0 or not (idle or due) or (idle and not plan.delayed):
        opened_at = now if idle else ledger.opened_at
        return evidence.with_stage(replace(ledger, raw=raw, opened_at=opened_at))
    events = plan.delayed if late or idle else plan.events
    figures = counted(events, ledger.thresholds if late else evidence.thresholds, canary, control)
    if plan.warm_up.covers(raw.answered[0], now - ledger.begun_at) and not (late or idle):
        # Caches fill and code is compiled: what happens meanwhile says nothing about the release.
        skipped = _skip(ledger, n, figures)
        return evidence.with_stage(replace(skipped, answered=raw.answered, raw=raw, opened_at=now))
    answered = ledger.answered if idle else raw.answered
    after, blocks = take(
        replace(ledger, raw=raw, opened_at=now, answered=answered),
        grown,
        figures,
    )
    return _Block(
        look=look,
        bets=Bets(evidence=evidence, plan=plan, blocks=blocks),
        before=ledger,
        ledger=after if late or idle else replace(after, n=n),
        grown=grown,
        current=not (late or idle),
    )


def _close(block: _Block, evidence: Evidence) -> Evidence:
    """Take in the rest of a block whose bets have been placed."""
    after, before, plan, now = block.ledger, block.before, block.bets.plan, block.look.now
    if not block.current:
        return evidence.with_stage(after)
    canary, control, grown = block.look.canary, block.look.control, block.grown
    failed = tuple(after.x[FAILURE.key][i] - before.x.get(FAILURE.key, (0, 0))[i] for i in (0, 1))
    evidence = _fade(evidence, grown[1], failed[1], now)
    if after.n[1] == 0 and after.n[0] >= ALONE_FROM:
        evidence = _watch(evidence, plan, grown[0], failed[0])
    keyed = _keyed(canary, control)
    came = grown
    if plan.sticky:
        # A key's requests all go one way, and those without a key all go to stable.
        came = (0, 0) if keyed is None else (keyed[0] - before.keyed[0], keyed[1] - before.keyed[1])
    units = before.units
    if evidence.diverted_at is None or evidence.diverted_at < before.opened_at:
        # While requests are diverted, the canary's share is meant to be smaller.
        units = (units[0] + came[0], units[1] + came[1])
    after = replace(after, keyed=before.keyed if keyed is None else keyed, units=units)
    evidence = _refresh(evidence.with_stage(after), plan, canary, control, now)
    return _note(evidence, plan, canary, control, block.look.share, now)


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


def _begin_stage(evidence: Evidence, plan: RolloutPlan, ledger: StageLedger) -> Evidence:
    _, log_e, earlier = evidence.sample_ratio
    if evidence.current is not None:
        last = evidence.current
        # Pairs of answers are counted on from stage to stage, so each goes on where the last one was.
        paired = {event.key for event in plan.events if event.source is Source.SHADOW}
        ledger = replace(
            ledger,
            x={key: x for key, x in last.x.items() if key in paired},
            own={key: n for key, n in last.own.items() if key in paired},
        )
        # Only failures, and what is reported later, are still taken in from a stage that has ended.
        kept = {FAILURE.key, *(event.key for event in plan.delayed)}
        last = replace(
            last,
            x={key: x for key, x in last.x.items() if key in kept},
            own={key: n for key, n in last.own.items() if key in kept},
            thresholds={
                event.threshold: evidence.thresholds[event.threshold]
                for event in plan.delayed
                if event.threshold in evidence.thresholds
            },
        )
        evidence = evidence.with_stage(last)
    return replace(
        evidence.with_stage(ledger),
        sample_ratio=(None, 0.0, earlier + log_e),
        diverted_at=None,
        baseline=None,
        latency={},
        outcomes={},
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


def _skip(ledger: StageLedger, n: tuple[int, int], figures: Mapping[str, Counted]) -> StageLedger:
    """The stage with everything that has been counted taken in, and nothing bet on."""
    return replace(
        ledger,
        n=n,
        x={**ledger.x, **{key: figure.x for key, figure in figures.items()}},
        own={**ledger.own, **{key: figure.n for key, figure in figures.items() if figure.n is not None}},
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
    wanted = {event.threshold: event for event in plan.events if event.threshold}
    overdue = at is None or now - at >= REFRESH_SECONDS
    if not wanted or not (overdue or wanted.keys() - evidence.thresholds.keys()):
        return evidence
    thresholds = dict(evidence.thresholds)
    for key, event in wanted.items():
        if not overdue and key in thresholds:
            continue
        bucket = new_threshold(event, control)
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
    moved = counted([e for e in plan.events if e.threshold in changed], thresholds, canary, control)
    del moved[FAILURE.key]
    ledger = replace(
        ledger,
        x={**ledger.x, **{key: figure.x for key, figure in moved.items()}},
        own={**ledger.own, **{key: figure.n for key, figure in moved.items() if figure.n is not None}},
    )
    return replace(evidence.with_stage(ledger), thresholds=thresholds)


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
    schedule = evidence.schedule
    if not evidence.latency or schedule.shown_at is None or now - schedule.shown_at >= SHOWN_SECONDS:
        evidence = replace(
            evidence,
            latency=shown_latency(plan, canary, control),
            schedule=replace(schedule, shown_at=now),
        )
    return replace(
        evidence,
        sample_ratio=ratio,
        phi=phi(*groups) if groups else evidence.phi,
        first_failure_at=first,
        outcomes=shown_outcomes(canary, control),
        metrics=shown_metrics(plan, canary, control),
    )
