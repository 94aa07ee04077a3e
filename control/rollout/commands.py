"""What a person may ask of a rollout, and what follows. Pure: no clock, no store."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from control.audit.events import FreezeOverridden
from control.calendar import Frozen
from control.change import Change, Lifted
from control.judgement.analysis import Analysis, Evidence
from control.rollout.machine import APPROVAL, Advance, Command, DecisionKind, State, command
from control.rollout.records import Record, successor
from control.store.rollouts import Quarantine


class Verb(StrEnum):
    """The last part of a command's path."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ROLLBACK = "rollback"
    RESTART = "restart"


class Refused(Exception):  # noqa: N818 (not our error: the answer to a command)
    """A command that the rollout's state does not allow."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy


_ALLOWED: Final[Mapping[State, tuple[Verb, ...]]] = {
    State.PENDING: (Verb.PROMOTE, Verb.ABORT, Verb.ROLLBACK),
    State.PROGRESSING: (Verb.PROMOTE, Verb.PAUSE, Verb.ABORT, Verb.ROLLBACK, Verb.RESTART),
    State.PAUSED: (Verb.PROMOTE, Verb.RESUME, Verb.ABORT, Verb.ROLLBACK, Verb.RESTART),
    # Going back must always be possible, also when everything seemed well.
    State.PROMOTED: (Verb.ROLLBACK, Verb.RESTART),
    State.ROLLED_BACK: (Verb.RESTART,),
    State.ABORTED: (Verb.RESTART,),
    State.EXPIRED: (Verb.RESTART,),
    State.SUPERSEDED: (),
}

_DONE: Final[Mapping[Verb, str]] = {
    Verb.PROMOTE: "promoted",
    Verb.PAUSE: "paused",
    Verb.RESUME: "resumed",
    Verb.ABORT: "aborted",
    Verb.ROLLBACK: "rolled back",
    Verb.RESTART: "restarted",
}


# What gives a canary more requests than it has; everything else is allowed during a freeze.
_WIDENING: Final = frozenset({Verb.PROMOTE, Verb.RESUME, Verb.RESTART})


def allowed(record: Record, *, quarantined: bool) -> tuple[Verb, ...]:
    """The commands that *record* takes now."""
    if not record.current:
        return ()
    if quarantined and not record.rollout.finished:
        return (Verb.RESTART,)
    return _ALLOWED[record.rollout.state]


def carry_out(
    change: Change,
    record: Record,
    verb: Verb,
    reason: str,
    *,
    quarantine: Quarantine | None,
    frozen: Frozen | None = None,
    override_freeze: bool = False,
) -> Record:
    """Note in *change* what follows from a command; returns the record in charge of the route after it.

    Args:
        frozen: the freeze that is open now; *override_freeze* widens in spite of it, which needs a reason.

    Raises:
        Refused: the state or a freeze does not allow it, or what needs a reason was asked for without one.
    """
    if verb not in allowed(record, quarantined=quarantine is not None):
        raise _refused(record, verb, quarantine)
    if frozen is not None and verb in _WIDENING:
        _check_freeze(change, record, verb, reason, frozen, override=override_freeze)
    if verb is Verb.RESTART:
        return _restart(change, record, reason, quarantine)
    if verb is Verb.ROLLBACK and record.rollout.state is State.PROMOTED:
        return take_back(change, record, reason)
    return _settle(change, record, _do(change, record, _asked(record, verb), reason))


_COMMANDS: Final[Mapping[Verb, Command]] = {
    Verb.PAUSE: Command.PAUSE,
    Verb.RESUME: Command.RESUME,
    Verb.ABORT: Command.ABORT,
    Verb.ROLLBACK: Command.ROLLBACK,
}


def _asked(record: Record, verb: Verb) -> Command:
    if verb is not Verb.PROMOTE:
        return _COMMANDS[verb]
    # A rollout that waits to be let on is let on; any other is finished.
    waits = record.rollout.state is State.PENDING or record.rollout.paused_by == APPROVAL
    return Command.PROMOTE if waits else Command.COMPLETE


def _restart(change: Change, record: Record, reason: str, quarantine: Quarantine | None) -> Record:
    if quarantine is not None:
        if not reason:
            raise Refused(
                "reason_required",
                f"{_release(record)} is quarantined: {quarantine.reason}",
                "say with a reason why it may be tried again",
            )
        change.lifted.append(Lifted(quarantine=quarantine, reason=reason))
    if record.judged:
        return _settle(change, record, _do(change, record, Command.RESTART, reason))
    fresh = record
    if record.rollout.finished:
        change.keep(replace(record, current=False))
        fresh = successor(record, change.steady)
    advance = _do(change, fresh, Command.PROMOTE, reason)
    assert advance.decision is not None
    decision = replace(
        advance.decision,
        kind=DecisionKind.RESTARTED,
        from_state=record.rollout.state,
        from_step=record.rollout.step,
        from_weight=0.0 if quarantine is not None else record.weight,
    )
    return _settle(change, fresh, replace(advance, decision=decision))


def _check_freeze(
    change: Change, record: Record, verb: Verb, reason: str, frozen: Frozen, *, override: bool
) -> None:
    if not override:
        raise Refused(
            "frozen",
            f"{record.rollout.route} cannot be {_DONE[verb]} now: {frozen.text}",
            "wait, or override the freeze with a reason",
        )
    if not reason:
        raise Refused(
            "reason_required", f"{frozen.text}, and it is overridden without a reason", "give a reason"
        )
    change.events.append(
        FreezeOverridden(
            resource_id=record.rollout.id,
            route=record.rollout.route,
            freeze=frozen.name,
            until=frozen.until,
            command=str(verb),
            reason=reason,
        )
    )


def take_back(change: Change, record: Record, reason: str, analysis: Analysis | None = None) -> Record:
    """Roll back what was promoted: a finished rollout stays finished, so a new one is condemned.

    *analysis* is what the controller does it for; None = a person does.
    """
    change.keep(replace(record, current=False))
    fresh = successor(record, change.steady)
    if analysis is not None:
        fresh = replace(fresh, evidence=record.evidence, analysis=analysis)
    advance = _do(change, fresh, Command.ROLLBACK, reason)
    assert advance.decision is not None
    decision = replace(
        advance.decision,
        from_state=record.rollout.state,
        from_step=record.rollout.step,
        from_weight=record.weight,
        analysis=analysis,
    )
    return _settle(change, fresh, replace(advance, decision=decision))


def _do(change: Change, record: Record, asked: Command, reason: str) -> Advance:
    return command(record.rollout, record.plan, asked, change.origin.actor, reason, change.steady)


def _settle(change: Change, record: Record, advance: Advance) -> Record:
    after = replace(record, rollout=advance.rollout)
    if advance.forget_evidence:
        after = replace(after, evidence=Evidence.empty(), evidence_from=advance.rollout.stage, analysis=None)
    if advance.decision is not None:
        change.decide(advance.decision, after)
    else:
        change.keep(after)
    return after


def _refused(record: Record, verb: Verb, quarantine: Quarantine | None) -> Refused:
    rollout = record.rollout
    possible = allowed(record, quarantined=quarantine is not None)
    state = rollout.state.name.lower()
    if quarantine is not None and not rollout.finished:
        state += f", and {_release(record)} is quarantined"
    return Refused(
        "illegal_transition",
        f"the rollout of {rollout.route} is {state} and cannot be {_DONE[verb]}",
        f"it takes {', '.join(possible)}" if possible else "change the configuration to begin another one",
    )


def _release(record: Record) -> str:
    return f"release {record.release}" if record.release else f"upstream {record.rollout.canary}"
