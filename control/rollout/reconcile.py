"""Which rollouts a configuration asks for, set against those that are there. Pure: no clock, no store."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from control.audit.events import RolloutCreated, RolloutPlanChanged, RolloutReinstated
from control.change import Change
from control.judgement.analysis import Evidence
from control.plans.plan import RolloutPlan
from control.rollout.identity import CanaryRoute
from control.rollout.machine import State, supersede
from control.rollout.records import Record, new_record

# A rollout that ended with all requests on stable stays ended when its upstreams come back; one that was
# promoted does not: nobody expects an old promotion to send everything to a canary at once.
_REINSTATED = frozenset({State.ROLLED_BACK, State.ABORTED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A route whose canary a rollout is to drive."""

    canary: CanaryRoute
    plan: RolloutPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the store remembers about a route: the last rollout of the same identity, the highest epoch."""

    newest: Record | None
    epoch: int


def reconcile(
    change: Change,
    *,
    wanted: Mapping[str, Wanted],
    current: Mapping[str, Record],
    past: Mapping[str, Past],
    config_digest: str,
    anew: frozenset[str] = frozenset(),
) -> dict[str, Record]:
    """Note in *change* what follows from a configuration; returns the records in charge after it.

    On routes in *anew* what was ended is not brought back: another rollout begins.
    """
    after: dict[str, Record] = {}
    for route, record in current.items():
        if route not in wanted:
            _retire(change, record, "the configuration no longer has this rollout")
    for route, want in wanted.items():
        present = current.get(route)
        if present is not None and present.identity == want.canary.identity and route not in anew:
            after[route] = _replan(change, present, want, config_digest)
            continue
        if present is not None:
            _retire(change, present, "the configuration names other upstreams")
        remembered = replace(past[route], newest=None) if route in anew else past[route]
        after[route] = _begin(change, want, remembered, config_digest)
    return after


def _retire(change: Change, record: Record, reason: str) -> None:
    gone = replace(record, current=False)
    if gone.rollout.finished:
        change.keep(gone)
        return
    superseded = supersede(gone.rollout, gone.plan, reason, change.steady)
    assert superseded.decision is not None
    change.decide(superseded.decision, replace(gone, rollout=superseded.rollout))


def _begin(change: Change, want: Wanted, past: Past, config_digest: str) -> Record:
    if past.newest is not None and past.newest.rollout.state in _REINSTATED:
        record = replace(past.newest, plan=want.plan, current=True, config_digest=config_digest)
        change.events.append(
            RolloutReinstated(
                resource_id=record.rollout.id,
                route=record.rollout.route,
                state=record.rollout.state.name.lower(),
            )
        )
    else:
        record = new_record(
            want.canary, want.plan, epoch=past.epoch + 1, config_digest=config_digest, now=change.steady
        )
        change.events.append(
            RolloutCreated(
                resource_id=record.rollout.id,
                route=record.rollout.route,
                identity=record.identity,
                stable=record.rollout.stable,
                canary=record.rollout.canary,
                release=record.release,
                epoch=record.rollout.epoch,
                plan=dict(want.plan.source),
            )
        )
    change.keep(record)
    return record


def _replan(change: Change, record: Record, want: Wanted, config_digest: str) -> Record:
    if same_plan(record.plan, want.plan) and record.control == want.canary.control:
        return record
    changed = replace(record, plan=want.plan, control=want.canary.control, config_digest=config_digest)
    if record.judged:
        changed = _refit(record, changed, change.steady)
    change.keep(changed)
    change.events.append(
        RolloutPlanChanged(
            resource_id=record.rollout.id,
            route=record.rollout.route,
            before=dict(record.plan.source),
            after=dict(want.plan.source),
            from_step=record.rollout.step,
            to_step=changed.rollout.step,
            from_weight=record.weight,
            to_weight=changed.weight,
        )
    )
    return changed


def same_plan(one: RolloutPlan, other: RolloutPlan) -> bool:
    """Whether two plans were read from the same section, so that nothing would change."""
    return one.source == other.source and one.sticky == other.sticky


def _refit(before: Record, after: Record, now: float) -> Record:
    """Put a running rollout on the step of the new plan that is nearest to its weight and not above it."""
    weight = before.weight
    steps = after.plan.steps
    below = [number for number, step in enumerate(steps) if step.weight <= weight]
    rollout = before.rollout
    step = below[-1] if below else 0
    if weight == 0:
        # Steps without requests are gone through one by one, whatever the plan.
        step = min(step, rollout.step)
    # Evidence is kept by what it is about, so another set of guardrails finds what it can use of it; what
    # was counted against other requests, or in another way, proves nothing.
    judges_alike = (
        before.plan.sticky == after.plan.sticky
        and (before.plan.burst_s > 0) == (after.plan.burst_s > 0)
        and before.control == after.control
    )
    if step == rollout.step and steps[step].weight == weight and judges_alike:
        return after
    moved = replace(rollout, step=step, stage=rollout.stage + 1, held="")
    if steps[step].weight != weight:
        # Another weight is another step: its time begins now.
        moved = replace(moved, step_started_at=now, paused_at=None if rollout.paused_at is None else now)
    if judges_alike:
        return replace(after, rollout=moved)
    return replace(after, rollout=moved, evidence=Evidence.empty(), evidence_from=moved.stage, analysis=None)
