"""Moves a rollout through its states: pure functions that know no clock, socket or store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, Final, Self

from control.analysis import Analysis
from control.guardrails.finding import Verdict
from control.plan import OnExpiry, RolloutPlan
from control.states import FINISHED, TRANSITIONS, Event, IllegalEventError, State, diagram

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
    "command",
    "diagram",
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
        plain = {field.name: data[field.name] for field in fields(cls)}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One thing a step waits for."""

    name: str
    met: bool
    text: str
    """How far it is, in plain words."""


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


def gates(rollout: Rollout, plan: RolloutPlan, analysis: Analysis | None, now: float) -> tuple[Gate, ...]:
    """What the current step waits for, met or not, in the order in which a person would ask."""
    step = plan.step(rollout.step)
    since = rollout.step_started_at if rollout.step_started_at is not None else now
    # A paused rollout does not age.
    elapsed = (rollout.paused_at if rollout.paused_at is not None else now) - since
    found = [
        Gate(
            name="time",
            met=elapsed >= step.duration_s,
            text=f"{max(0.0, elapsed):.0f} s of {step.duration_s:g} s at {step.weight:.4g} of requests",
        )
    ]
    answered = 0 if analysis is None else analysis.step_requests
    if step.requests > 0:
        found.append(
            Gate(
                name="requests",
                met=answered >= step.requests,
                text=f"{answered} of {step.requests} canary requests answered at this step",
            )
        )
    if analysis is None:
        found.append(Gate(name="evidence", met=False, text="nothing has been counted yet"))
        return tuple(found)
    found.append(Gate(name="evidence", met=analysis.verdict is Verdict.PASS, text=analysis.reason))
    if analysis.hold:
        found.append(Gate(name="hold", met=False, text=analysis.hold))
    return tuple(found)


def advance(rollout: Rollout, plan: RolloutPlan, analysis: Analysis | None, now: float) -> Advance:
    """Move a rollout as far as its analysis allows: at most one decision a call."""
    if rollout.finished or not plan.enabled:
        return Advance(rollout=rollout)
    if rollout.state is State.PENDING:
        if not plan.auto_start:
            return Advance(rollout=rollout)
        return _decide(rollout, plan, Event.START, CONTROLLER, "the rollout begins", now)
    if analysis is not None and analysis.verdict is Verdict.FAIL:
        return _decide(rollout, plan, Event.ROLL_BACK, CONTROLLER, analysis.reason, now, analysis)
    if rollout.state is State.PAUSED:
        return Advance(rollout=rollout)
    waiting = [gate for gate in gates(rollout, plan, analysis, now) if not gate.met]
    if not waiting and analysis is not None:
        return _gates_met(rollout, plan, analysis, now)
    return _waiting(rollout, plan, analysis, waiting, now)


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


def _gates_met(rollout: Rollout, plan: RolloutPlan, analysis: Analysis, now: float) -> Advance:
    step = plan.step(rollout.step)
    if step.manual:
        reason = f"step {rollout.step + 1} has met its gates and waits for a person. {analysis.reason}"
        return _decide(rollout, plan, Event.PAUSE, CONTROLLER, reason, now, analysis, paused_by=APPROVAL)
    last = rollout.step + 1 >= len(plan.steps)
    return _decide(
        rollout, plan, Event.PROMOTE if last else Event.ADVANCE, CONTROLLER, analysis.reason, now, analysis
    )


def _waiting(
    rollout: Rollout, plan: RolloutPlan, analysis: Analysis | None, waiting: list[Gate], now: float
) -> Advance:
    since = rollout.step_started_at if rollout.step_started_at is not None else now
    if plan.expiry_s > 0 and now - since >= plan.expiry_s:
        reason = f"undecided after {now - since:.0f} s: " + "; ".join(gate.text for gate in waiting)
        if plan.on_expiry is OnExpiry.STABLE:
            return _decide(rollout, plan, Event.EXPIRE, CONTROLLER, reason, now, analysis)
        return _decide(rollout, plan, Event.PAUSE, CONTROLLER, reason, now, analysis, paused_by=EXPIRY)
    hold = "" if analysis is None else analysis.hold_code
    if hold == rollout.held:
        return Advance(rollout=rollout)
    held = replace(rollout, held=hold)
    if not hold or analysis is None:
        return Advance(rollout=held)
    return Advance(
        rollout=held,
        decision=Decision(
            kind=DecisionKind.HELD,
            rollout=rollout.id,
            route=rollout.route,
            at=now,
            actor=CONTROLLER,
            reason=analysis.hold,
            from_state=rollout.state,
            to_state=rollout.state,
            from_step=rollout.step,
            to_step=rollout.step,
            from_weight=weight(rollout, plan),
            to_weight=weight(rollout, plan),
            analysis=analysis,
        ),
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
            changes |= {"started_at": now, "step_started_at": now}
        case Event.ADVANCE:
            changes |= {"step": rollout.step + 1, "step_started_at": now, "held": ""}
        case Event.RESTART:
            changes |= {"step": 0, "started_at": now, "step_started_at": now, "held": ""}
        case Event.PAUSE:
            changes |= {"paused_at": now, "paused_by": paused_by or actor}
        case Event.RESUME if rollout.paused_by == EXPIRY:
            # A person has looked and wants to wait: the time to expiry begins again.
            changes |= {"step_started_at": now}
        case Event.RESUME if rollout.paused_at is not None and rollout.step_started_at is not None:
            changes |= {"step_started_at": rollout.step_started_at + now - rollout.paused_at}
        case _:
            pass
    if event is not Event.PAUSE:
        changes |= {"paused_at": None, "paused_by": ""}
    if state in FINISHED:
        changes |= {"finished_at": now}
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
