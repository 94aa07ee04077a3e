"""Moves a rollout through its states: pure functions that know no clock, socket or store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, Final, Self

from control.guardrails.finding import Verdict
from control.judgement.analysis import Analysis
from control.plans.conditions import CALM, AfterAction, Answer, Outside
from control.plans.plan import OnExpiry, RolloutPlan
from control.rollout.gates import (
    FREEZE,
    Gate,
    asked,
    evidence_text,
    gates,
    own_gates,
    said,
    shadow_failed,
    shadow_shown,
)
from control.rollout.states import FINISHED, TRANSITIONS, Event, IllegalEventError, State

# The machine belongs to a rollout's interface; its users need not know where the table is.
__all__ = [
    "APPROVAL",
    "CONTROLLER",
    "EXPIRY",
    "FINISHED",
    "TRANSITIONS",
    "Advance",
    "Command",
    "Decision",
    "DecisionKind",
    "Event",
    "Gate",
    "IllegalEventError",
    "Rollout",
    "State",
    "advance",
    "alarm",
    "command",
    "gates",
    "supersede",
    "weight",
]


class Command(IntEnum):
    """What a person may ask for."""

    PROMOTE = 0
    """Go one step on without waiting for its gates; starts a pending rollout, finishes the last step."""
    COMPLETE = 1
    """Give the canary all requests now."""
    PAUSE = 2
    RESUME = 3
    ABORT = 4
    ROLLBACK = 5
    RESTART = 6
    """Begin again at the first step with no evidence; only while the rollout is not finished."""


class DecisionKind(IntEnum):
    """What was decided."""

    STARTED = 0
    ADVANCED = 1
    PROMOTED = 2
    ROLLED_BACK = 3
    HELD = 4
    PAUSED = 5
    RESUMED = 6
    ABORTED = 7
    EXPIRED = 8
    RESTARTED = 9
    SUPERSEDED = 10
    ALARMED = 11
    """It got worse after its promotion, and a person should look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One attempt to bring a canary to all requests of a route. Times are seconds on the caller's scale."""

    id: str
    route: str
    stable: str
    canary: str
    state: State = State.PENDING
    step: int = 0
    """Index into the plan's steps."""
    stage: int = 0
    """Rises whenever the weight of the canary changes; counts of different stages are never compared."""
    epoch: int = 0
    """Rises whenever sticky assignments must be forgotten."""
    created_at: float
    started_at: float | None = None
    step_started_at: float | None = None
    """Moved on by the length of every pause, so that it measures time under judgement."""
    paused_at: float | None = None
    paused_by: str = ""
    """Who asked for the pause: a person's name, "approval" or "expiry"."""
    finished_at: float | None = None
    held: str = ""
    """Why the rollout waits although its gates may be met, so that a hold is decided once."""
    reason: str = ""
    """Why it is in the state it is in."""
    resumed: int = 0
    """How often it was resumed; what was said about a step before a pause does not count after it."""
    shown: bool = False
    """Whether every margin had been shown before the last comparison was given up."""
    finished_by: str = ""
    """Who ended it: a person's name, or "controller"."""

    @property
    def finished(self) -> bool:
        """Whether no event is accepted any more."""
        return self.state in FINISHED

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the state by name."""
        data: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        data["state"] = self.state.name.lower()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        # What was stored before a field existed has its default.
        plain = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        plain["state"] = State[data["state"].upper()]
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One change of a rollout, or the choice to wait, with the reason and what it was made from."""

    kind: DecisionKind
    rollout: str
    route: str
    at: float
    actor: str
    """A person's name, or "controller"."""
    reason: str
    from_state: State
    to_state: State
    from_step: int
    to_step: int
    from_weight: float
    to_weight: float
    analysis: Analysis | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; enumerations by name."""
        data: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for key in ("kind", "from_state", "to_state"):
            data[key] = data[key].name.lower()
        data["analysis"] = None if self.analysis is None else self.analysis.to_json()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        plain = {field.name: data[field.name] for field in fields(cls)}
        plain["kind"] = DecisionKind[data["kind"].upper()]
        for key in ("from_state", "to_state"):
            plain[key] = State[data[key].upper()]
        if data["analysis"] is not None:
            plain["analysis"] = Analysis.from_json(data["analysis"])
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What follows from one look at a rollout."""

    rollout: Rollout
    decision: Decision | None = None
    """None when nothing changed."""
    forget_evidence: bool = False
    """Whether the stored evidence must be replaced by an empty one."""
    ask: tuple[str, ...] = ()
    """The webhook gates that are all that is missing."""


CONTROLLER: Final = "controller"


def weight(rollout: Rollout, plan: RolloutPlan) -> float:
    """The share of requests that the canary should get."""
    match rollout.state:
        case State.PROGRESSING | State.PAUSED:
            return plan.step(rollout.step).weight
        case State.PROMOTED:
            return 1.0
        case _:
            return 0.0


def advance(
    rollout: Rollout, plan: RolloutPlan, analysis: Analysis | None, now: float, outside: Outside = CALM
) -> Advance:
    """Move a rollout as far as its analysis and the world outside allow: at most one decision a call."""
    if rollout.finished or not plan.enabled:
        return Advance(rollout=rollout)
    if rollout.state is State.PENDING:
        return _begin(rollout, plan, now, outside)
    if analysis is not None and analysis.verdict is Verdict.FAIL:
        return _decide(rollout, plan, Event.ROLL_BACK, CONTROLLER, analysis.reason, now, analysis)
    if rollout.state is State.PAUSED:
        return Advance(rollout=rollout)
    if (failure := shadow_failed(plan.step(rollout.step), outside)) is not None:
        # No request was at stake, so nothing is condemned: it only does not become a canary.
        return _decide(rollout, plan, Event.ABORT, CONTROLLER, failure, now, analysis)
    waiting = [gate for gate in own_gates(rollout, plan, analysis, now, outside) if not gate.met]
    if waiting or analysis is None:
        return _waiting(rollout, plan, analysis, waiting, now)
    for webhook in asked(rollout, plan):
        reply = outside.reply(webhook)
        if reply.answer in (Answer.REFUSE, Answer.LOST):
            unmet = next(gate for gate in gates(rollout, plan, analysis, now, outside) if not gate.met)
            by = f"webhook {webhook.name}"
            return _decide(rollout, plan, Event.PAUSE, CONTROLLER, unmet.text, now, analysis, paused_by=by)
    if missing := [gate for gate in gates(rollout, plan, analysis, now, outside) if not gate.met]:
        return replace(
            _waiting(rollout, plan, analysis, missing, now), ask=tuple(gate.name for gate in missing)
        )
    return _gates_met(rollout, plan, analysis, now, outside)


def alarm(rollout: Rollout, plan: RolloutPlan, analysis: Analysis, now: float) -> Advance:
    """What follows when a promoted canary is watched: nothing, an alarm, or going back.

    There is no control any more, so old evidence counts for nothing: only the detector against the frozen
    baseline and the breaker do. Going back is left to the caller, who knows how a finished rollout is
    condemned: then the decision is of the kind ``rolled_back`` and the rollout unchanged. What a person has
    promoted is never taken back, only reported.
    """
    breaker = "breaker" in analysis.culprits
    if rollout.held or not (breaker or "baseline" in analysis.hold_code.split(",")):
        return Advance(rollout=rollout)
    reason = analysis.reason if breaker else analysis.hold
    back = plan.after_promotion.action is AfterAction.ROLLBACK and rollout.finished_by == CONTROLLER
    decision = _staying(
        rollout, plan, DecisionKind.ROLLED_BACK if back else DecisionKind.ALARMED, reason, now, analysis
    )
    held = "breaker" if breaker else "baseline"
    return Advance(rollout=rollout if back else replace(rollout, held=held), decision=decision)


def command(
    rollout: Rollout, plan: RolloutPlan, asked: Command, actor: str, reason: str, now: float
) -> Advance:
    """Do what a person asks. It wins over the controller.

    Raises:
        IllegalEventError: the state of the rollout does not allow it.
    """
    because = reason or f"asked for by {actor}"
    match asked:
        case Command.PROMOTE if rollout.state is State.PENDING:
            return _decide(rollout, plan, Event.START, actor, because, now)
        case Command.PROMOTE:
            event = Event.PROMOTE if rollout.step + 1 >= len(plan.steps) else Event.ADVANCE
            return _decide(rollout, plan, event, actor, because, now)
        case Command.COMPLETE:
            return _decide(rollout, plan, Event.PROMOTE, actor, because, now)
        case Command.PAUSE:
            return _decide(rollout, plan, Event.PAUSE, actor, because, now)
        case Command.RESUME if rollout.paused_by == APPROVAL:
            return command(rollout, plan, Command.PROMOTE, actor, reason, now)
        case Command.RESUME:
            return _decide(rollout, plan, Event.RESUME, actor, because, now)
        case Command.ABORT:
            return _decide(rollout, plan, Event.ABORT, actor, because, now)
        case Command.ROLLBACK:
            return _decide(rollout, plan, Event.ROLL_BACK, actor, because, now)
        case Command.RESTART:
            moved = _decide(rollout, plan, Event.RESTART, actor, because, now)
            return replace(moved, forget_evidence=True)


def supersede(rollout: Rollout, plan: RolloutPlan, reason: str, now: float) -> Advance:
    """End a rollout because another one takes its route."""
    return _decide(rollout, plan, Event.SUPERSEDE, CONTROLLER, reason, now)


APPROVAL: Final = "approval"
EXPIRY: Final = "expiry"

_KINDS: Final[Mapping[Event, DecisionKind]] = {
    Event.START: DecisionKind.STARTED,
    Event.ADVANCE: DecisionKind.ADVANCED,
    Event.PROMOTE: DecisionKind.PROMOTED,
    Event.ROLL_BACK: DecisionKind.ROLLED_BACK,
    Event.PAUSE: DecisionKind.PAUSED,
    Event.RESUME: DecisionKind.RESUMED,
    Event.ABORT: DecisionKind.ABORTED,
    Event.EXPIRE: DecisionKind.EXPIRED,
    Event.SUPERSEDE: DecisionKind.SUPERSEDED,
    Event.RESTART: DecisionKind.RESTARTED,
}


def _begin(rollout: Rollout, plan: RolloutPlan, now: float, outside: Outside) -> Advance:
    if not plan.auto_start:
        return Advance(rollout=rollout)
    window = outside.frozen(plan.freezes)
    if window is None:
        return _decide(rollout, plan, Event.START, CONTROLLER, "the rollout begins", now)
    if rollout.held == FREEZE:
        return Advance(rollout=rollout)
    decision = _staying(rollout, plan, DecisionKind.HELD, f"it does not begin: {window.text}", now, None)
    return Advance(rollout=replace(rollout, held=FREEZE), decision=decision)


def _gates_met(
    rollout: Rollout, plan: RolloutPlan, analysis: Analysis, now: float, outside: Outside
) -> Advance:
    step = plan.step(rollout.step)
    shown = shadow_shown(step, outside) or evidence_text(rollout, plan, analysis)
    shown = "; ".join([shown, *said(rollout, plan, outside)])
    if step.manual:
        reason = f"step {rollout.step + 1} has met its gates and waits for a person. {shown}"
        return _decide(rollout, plan, Event.PAUSE, CONTROLLER, reason, now, analysis, paused_by=APPROVAL)
    last = rollout.step + 1 >= len(plan.steps)
    moved = _decide(rollout, plan, Event.PROMOTE if last else Event.ADVANCE, CONTROLLER, shown, now, analysis)
    if last or not step.paced or analysis.reach is None or analysis.reach <= moved.rollout.step:
        return moved
    # The steps in between have been passed by the same evidence.
    further = replace(moved.rollout, step=min(analysis.reach, len(plan.steps) - 1))
    assert moved.decision is not None
    decision = replace(moved.decision, to_step=further.step, to_weight=weight(further, plan))
    return replace(moved, rollout=further, decision=decision)


def _waiting(
    rollout: Rollout, plan: RolloutPlan, analysis: Analysis | None, waiting: list[Gate], now: float
) -> Advance:
    frozen = next((gate.text for gate in waiting if gate.name == FREEZE), "")
    since = rollout.step_started_at if rollout.step_started_at is not None else now
    no_data = analysis is None or analysis.verdict is Verdict.NO_DATA
    expiry, action = plan.undecided(no_data=no_data)
    # Nobody can decide anything during a freeze, so nothing expires in it either.
    if expiry > 0 and now - since >= expiry and not frozen:
        what = "without anything to judge by" if no_data else "undecided"
        reason = f"{what} after {now - since:.0f} s: " + "; ".join(gate.text for gate in waiting)
        if action is OnExpiry.STABLE:
            return _decide(rollout, plan, Event.EXPIRE, CONTROLLER, reason, now, analysis)
        return _decide(rollout, plan, Event.PAUSE, CONTROLLER, reason, now, analysis, paused_by=EXPIRY)
    codes = [] if analysis is None or not analysis.hold_code else [analysis.hold_code]
    hold = ",".join([*codes, *([FREEZE] if frozen else [])])
    if hold == rollout.held:
        return Advance(rollout=rollout)
    held = replace(rollout, held=hold)
    if not hold:
        return Advance(rollout=held)
    texts = [] if analysis is None or not analysis.hold else [analysis.hold]
    reason = "; ".join([*texts, *([frozen] if frozen else [])])
    return Advance(rollout=held, decision=_staying(rollout, plan, DecisionKind.HELD, reason, now, analysis))


def _staying(
    rollout: Rollout,
    plan: RolloutPlan,
    kind: DecisionKind,
    reason: str,
    now: float,
    analysis: Analysis | None,
) -> Decision:
    """A decision of the controller that leaves the rollout where it is."""
    share = weight(rollout, plan)
    return Decision(
        kind=kind,
        rollout=rollout.id,
        route=rollout.route,
        at=now,
        actor=CONTROLLER,
        reason=reason,
        from_state=rollout.state,
        to_state=rollout.state,
        from_step=rollout.step,
        to_step=rollout.step,
        from_weight=share,
        to_weight=share,
        analysis=analysis,
    )


def _decide(
    rollout: Rollout,
    plan: RolloutPlan,
    event: Event,
    actor: str,
    reason: str,
    now: float,
    analysis: Analysis | None = None,
    *,
    paused_by: str = "",
) -> Advance:
    try:
        state = TRANSITIONS[rollout.state][event]
    except KeyError:
        raise IllegalEventError(rollout.state, event) from None
    changes: dict[str, Any] = {"state": state, "reason": reason}
    match event:
        case Event.START:
            changes |= {"started_at": now, "step_started_at": now, "held": ""}
        case Event.ADVANCE:
            changes |= {"step": rollout.step + 1, "step_started_at": now, "held": ""}
            # A person may go on without evidence; one who approves goes on with it.
            changes |= {"shown": actor == CONTROLLER or rollout.paused_by == APPROVAL}
        case Event.RESTART:
            changes |= {"step": 0, "started_at": now, "step_started_at": now, "held": "", "shown": False}
        case Event.PAUSE:
            changes |= {"paused_at": now, "paused_by": paused_by or actor}
        case Event.RESUME if rollout.paused_by == EXPIRY:
            # A person has looked and wants to wait: the time to expiry begins again.
            changes |= {"step_started_at": now}
        case Event.RESUME if rollout.paused_at is not None and rollout.step_started_at is not None:
            changes |= {"step_started_at": rollout.step_started_at + now - rollout.paused_at}
        case _:
            pass
    if event is Event.RESUME:
        changes |= {"resumed": rollout.resumed + 1}
    if event is not Event.PAUSE:
        changes |= {"paused_at": None, "paused_by": ""}
    if state in FINISHED:
        changes |= {"finished_at": now, "finished_by": actor, "held": ""}
    if event in (Event.ROLL_BACK, Event.ABORT, Event.EXPIRE, Event.RESTART):
        changes |= {"epoch": rollout.epoch + 1}
    moved = replace(rollout, **changes)
    before, after = weight(rollout, plan), weight(moved, plan)
    if before != after or event is Event.RESTART:
        moved = replace(moved, stage=rollout.stage + 1)
    decision = Decision(
        kind=_KINDS[event],
        rollout=rollout.id,
        route=rollout.route,
        at=now,
        actor=actor,
        reason=reason,
        from_state=rollout.state,
        to_state=moved.state,
        from_step=rollout.step,
        to_step=moved.step,
        from_weight=before,
        to_weight=after,
        analysis=analysis,
    )
    return Advance(rollout=moved, decision=decision)
