"""Takes cumulative counts into the evidence: closes blocks, places the bets, keeps slices and thresholds.

A block is what came in since the last one: at least twelve requests of both arms together, or what there is
after ten seconds. Its end depends on the numbers of requests and the time only, never on how they ended. What
makes repeated and late reports harmless is that a block is the difference of two cumulative counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from control.judgement.betting import Blocks, Placed, place, take, views
from control.judgement.catching_up import caught_up, with_new_events
from control.judgement.evidence import ArmCounts, Baseline, Evidence, Raw, StageLedger
from control.judgement.keys import NO_KEYS
from control.judgement.rows import Pairs
from control.judgement.shown import shown_metrics, shown_outcomes, with_quantiles
from control.judgement.tallying import counted, new_threshold
from control.judgement.view import ALONE_FROM
from control.judgement.warming import begun_cold
from control.plans.plan import RolloutPlan
from control.stats.events import FAILURE, Source
from control.stats.overdispersion import requests_per_unit
from control.stats.process import log_start_weight
from control.stats.sample_ratio import sample_ratio_log_e
from control.stats.sr import Watch, frozen_limit

BLOCK_REQUESTS: Final = 12
BLOCK_SECONDS: Final = 10.0
# New starts of the bets on harm come a minute apart: more often costs prior, less often detection time.
START_SECONDS: Final = 60.0
# Control's quantiles drift with load, so latency thresholds are taken anew every minute.
REFRESH_SECONDS: Final = 60.0
# How long control's failures are remembered for telling a fault that both arms share.
RECENT_SECONDS: Final = 20.0


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
    """What came in with a look, before anything is counted or bet on."""

    look: Look
    evidence: Evidence
    before: StageLedger
    ledger: StageLedger
    """With everything but the events."""
    grown: tuple[int, int]
    current: bool
    """Whether requests of the current stage came in; otherwise it is about those of an earlier one, or about
    what is known later."""
    late: bool
    """Whether its stage has ended."""
    skipped: bool
    """Whether nothing is bet on it, because the stage is warming up."""


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
    return with_quantiles(observe_all([look])[0], plan, canary, control, now)


def observe_all(looks: Sequence[Look]) -> list[Evidence]:
    """Take in one look at each of many rollouts; what those of one layout have in common is done at once."""
    opened = [_open(look) for look in looks]
    after = [found.evidence if isinstance(found, _Block) else found for found in opened]
    by_layout: dict[int, list[tuple[int, _Block]]] = {}
    for i, found in enumerate(opened):
        if isinstance(found, _Block):
            by_layout.setdefault(id(found.look.plan.layout), []).append((i, found))
    counted_now = [_count(together, after) for together in by_layout.values()]
    batches = [batch for batch in counted_now if batch is not None]
    placed = place([([after[i] for i, _ in batch.members], batch.blocks) for batch in batches])
    changed: list[int] = []
    for batch, found_by_batch in zip(batches, placed, strict=True):
        for (i, block), counts, one in zip(batch.members, batch.counts, found_by_batch, strict=True):
            after[i] = _close(block, counts, one)
            changed.append(i)
    for i, view in zip(changed, views((after[i], looks[i].plan) for i in changed), strict=True):
        log_e = view.combined_log_e()
        if log_e > after[i].log_peak:
            after[i] = replace(after[i], log_peak=log_e)
    return after


def _open(look: Look) -> Evidence | _Block:
    """See what came in; the evidence when there is nothing to take in yet."""
    evidence, plan, now = look.evidence, look.plan, look.now
    canary, control = look.canary, look.control
    known = next((ledger for ledger in evidence.stages if ledger.stage == look.stage), None)
    ledger = known or StageLedger(stage=look.stage, opened_at=now, begun_at=now, keys=plan.layout.keys)
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
    current = not (late or idle)
    # Caches fill and code is compiled: what happens meanwhile says nothing about the release.
    skipped = current and begun_cold(plan, ledger, raw, now)
    answered = ledger.answered if idle else raw.answered
    return _Block(
        look=look,
        evidence=evidence,
        before=ledger,
        ledger=replace(ledger, raw=raw, opened_at=now, answered=answered, n=n if current else ledger.n),
        grown=grown,
        current=current,
        late=late,
        skipped=skipped,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Blocks of rollouts with the same layout, counted."""

    members: list[tuple[int, _Block]]
    """With the number of the look."""
    counts: list[tuple[Pairs, Pairs]]
    """Requests with an event and requests asked, taken in so far."""
    blocks: Blocks


def _count(together: Sequence[tuple[int, _Block]], after: list[Evidence]) -> _Batch | None:
    """Count the events of all blocks; what is only skipped goes to *after* at once."""
    layout = together[0][1].look.plan.layout
    figures = counted(
        layout,
        [(block.look.canary, block.look.control) for _, block in together],
        [block.ledger.thresholds if block.late else block.evidence.thresholds for _, block in together],
        np.array([[block.current] for _, block in together]) | layout.delayed,
    )
    betting: list[int] = []
    together = [
        (i, replace(block, ledger=with_new_events(block.ledger, layout, figures, row, ended=block.late)))
        if block.ledger.keys is not layout.keys
        else (i, block)
        for row, (i, block) in enumerate(together)
    ]
    for row, (i, block) in enumerate(together):
        if block.skipped:
            after[i] = after[i].with_stage(caught_up(block.ledger, layout, figures, row))
        else:
            betting.append(row)
    if not betting:
        return None
    members = [together[row] for row in betting]
    if len(betting) < len(together):
        figures = figures.rows(betting)
    grown = np.array([block.grown for _, block in members], dtype=np.int64)
    counts, blocks = take(layout, [block.ledger for _, block in members], grown, figures)
    return _Batch(members=members, counts=counts, blocks=blocks)


def _close(block: _Block, counts: tuple[Pairs, Pairs], placed: Placed) -> Evidence:
    """Take in the rest of a block whose bets have been placed."""
    evidence, before, plan, now = block.evidence, block.before, block.look.plan, block.look.now
    x, own = counts
    if not block.current:
        after = replace(block.ledger, x=x, own=own)
        return evidence.with_block(evidence.with_ledger(after), placed.wealth, placed.tallies)
    canary, control, grown = block.look.canary, block.look.control, block.grown
    keyed = _keyed(canary, control)
    came = grown
    if plan.sticky:
        # A key's requests all go one way, and those without a key all go to stable.
        came = (0, 0) if keyed is None else (keyed[0] - before.keyed[0], keyed[1] - before.keyed[1])
    units = before.units
    if evidence.diverted_at is None or evidence.diverted_at < before.opened_at:
        # While requests are diverted, the canary's share is meant to be smaller.
        units = (units[0] + came[0], units[1] + came[1])
    after = replace(block.ledger, x=x, own=own, keyed=before.keyed if keyed is None else keyed, units=units)
    (failed_c, failed_t), (before_c, before_t) = (
        ledger.x.get(FAILURE.key, (0, 0)) for ledger in (after, before)
    )
    evidence = evidence.with_block(
        evidence.with_ledger(after),
        placed.wealth,
        placed.tallies,
        recent=_fade(evidence, grown[1], failed_t - before_t, now),
        recent_at=now,
        **_noted(evidence, after, block.look),
    )
    if evidence.first_failure_at is None and evidence.tally(FAILURE.key).x_canary > 0:
        evidence = replace(evidence, first_failure_at=now)
    if after.n[1] == 0 and after.n[0] >= ALONE_FROM:
        evidence = _watch(evidence, plan, grown[0], failed_c - before_c)
    return _refresh(evidence, plan, canary, control, now)


def _fade(evidence: Evidence, n: int, x: int, now: float) -> tuple[float, float]:
    """What is remembered of control's last seconds, with one more block."""
    kept = math.exp((evidence.recent_at - now) / RECENT_SECONDS)
    return evidence.recent[0] * kept + n, evidence.recent[1] * kept + x


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
            x=last.x.only(paired),
            own=last.own.only(paired),
        )
        # Only failures, and what is reported later, are still taken in from a stage that has ended.
        kept = {FAILURE.key, *(event.key for event in plan.delayed)}
        last = replace(
            last,
            x=last.x.only(kept),
            own=last.own.only(kept),
            keys=tuple(key for key in last.keys or plan.layout.keys if key in kept),
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
        keys=evidence.keys if evidence.keys is NO_KEYS else evidence.keys.ended(),
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
    log_start = log_start_weight(starts) if start else None
    wealth = evidence.wealth.aligned(plan.layout).passed(ended, log_start, evidence.phi)
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


def _keyed(canary: ArmCounts, control: ArmCounts) -> tuple[int, int] | None:
    """Requests that were assigned by a key; None when they are not counted."""
    if canary.groups is None or control.groups is None:
        return None
    return int(canary.groups[0].sum()), int(control.groups[0].sum())


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
    asked = np.array([[event.threshold in changed for event in plan.layout.events]])
    figures = counted(plan.layout, [(canary, control)], [thresholds], asked)
    return replace(
        evidence.with_stage(caught_up(ledger, plan.layout, figures, 0)),
        thresholds=thresholds,
    )


def _noted(evidence: Evidence, ledger: StageLedger, look: Look) -> dict[str, Any]:
    """What belongs to the whole stage rather than to a block."""
    ratio, share, canary, control = evidence.sample_ratio, look.share, look.canary, look.control
    if share is not None and 0 < share < 1:
        n_c, n_t = ledger.units
        together = 1.0
        if look.plan.sticky and canary.groups is not None and control.groups is not None:
            together = requests_per_unit(canary.groups[0], control.groups[0])
        ratio = (share, sample_ratio_log_e(n_c / together, n_t / together, share), ratio[2])
    keys = evidence.keys
    if canary.groups is not None and control.groups is not None:
        keys = keys.counted(np.stack((canary.groups, control.groups)))
    return {
        "sample_ratio": ratio,
        "keys": keys,
        "phi": keys.phi() if keys is not evidence.keys else evidence.phi,
        "outcomes": shown_outcomes(canary, control),
        "metrics": shown_metrics(look.plan, canary, control),
    }
