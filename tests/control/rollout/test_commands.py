"""What a person may ask in which state, and what follows from it."""

from dataclasses import replace

import pytest

from config.schema import Config
from control.change import Change
from control.plans.plan import RolloutPlan
from control.rollout.commands import Refused, Verb, allowed, carry_out
from control.rollout.identity import canary_routes
from control.rollout.machine import APPROVAL, DecisionKind, State
from control.rollout.records import Record, new_record
from control.store.rollouts import Quarantine
from tests.helpers.control import ALICE, configuration

NOW = 1_000.0


def record(state: State = State.PROGRESSING, *, step: int = 0, paused_by: str = "") -> Record:
    config: Config = configuration(steps=["10%", "50%", "100%"])
    canary = canary_routes(config)["fraud"]
    plan = RolloutPlan.from_config(canary.route.rollout, sticky=True)
    fresh = new_record(canary, plan, epoch=3, config_digest="d", now=NOW - 100)
    rollout = replace(
        fresh.rollout,
        state=state,
        step=step,
        stage=step + 1,
        started_at=NOW - 50,
        step_started_at=NOW - 10,
        paused_at=NOW - 5 if state is State.PAUSED else None,
        paused_by=paused_by,
    )
    return replace(fresh, rollout=rollout)


def change() -> Change:
    return Change(origin=ALICE, wall=5_000.0, steady=NOW)


def quarantine(of: Record) -> Quarantine:
    return Quarantine(
        id="q-1",
        subject=of.subject,
        route="fraud",
        variant="v2",
        release="fraud:v2",
        rollout_id=of.rollout.id,
        decision_id="d-1",
        reason="it failed",
        since=1.0,
    )


EXPECTED = {
    State.PENDING: {Verb.PROMOTE, Verb.ABORT, Verb.ROLLBACK},
    State.PROGRESSING: {Verb.PROMOTE, Verb.PAUSE, Verb.ABORT, Verb.ROLLBACK, Verb.RESTART},
    State.PAUSED: {Verb.PROMOTE, Verb.RESUME, Verb.ABORT, Verb.ROLLBACK, Verb.RESTART},
    State.PROMOTED: {Verb.ROLLBACK, Verb.RESTART},
    State.ROLLED_BACK: {Verb.RESTART},
    State.ABORTED: {Verb.RESTART},
    State.EXPIRED: {Verb.RESTART},
    State.SUPERSEDED: set(),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", Verb)
def test_each_command_is_taken_or_refused_with_what_would_do(state: State, verb: Verb) -> None:
    """An illegal command changes nothing and names the legal ones."""
    noted, subject = change(), record(state)

    if verb in EXPECTED[state]:
        after = carry_out(noted, subject, verb, "because", quarantine=None)
        (decided,) = noted.decided
        assert noted.records[after.rollout.id] == after
        assert decided.decision.actor == "alice"
        assert decided.decision.reason == "because"
    else:
        with pytest.raises(Refused) as refused:
            carry_out(noted, subject, verb, "because", quarantine=None)
        assert refused.value.code == "illegal_transition"
        assert state.name.lower() in refused.value.message
        assert all(name in refused.value.remedy for name in EXPECTED[state])
        assert noted.empty


def test_promoting_gives_the_canary_everything() -> None:
    """From any step, whatever the evidence says so far."""
    noted = change()

    after = carry_out(noted, record(step=0), Verb.PROMOTE, "", quarantine=None)

    assert after.rollout.state is State.PROMOTED
    assert after.weight == 1.0
    assert noted.decided[0].decision.to_weight == 1.0


def test_promoting_a_pending_rollout_starts_it() -> None:
    """Somebody who lets a rollout begin does not want it to be over at once."""
    after = carry_out(change(), record(State.PENDING), Verb.PROMOTE, "", quarantine=None)

    assert after.rollout.state is State.PROGRESSING
    assert after.weight == 0.1


@pytest.mark.parametrize("verb", [Verb.PROMOTE, Verb.RESUME])
def test_promoting_what_waits_for_a_person_lets_it_go_on(verb: Verb) -> None:
    """A manual gate is passed one step at a time."""
    waiting = record(State.PAUSED, step=0, paused_by=APPROVAL)

    after = carry_out(change(), waiting, verb, "looks good", quarantine=None)

    assert after.rollout.state is State.PROGRESSING
    assert (after.rollout.step, after.weight) == (1, 0.5)


def test_resuming_gives_back_the_time_of_the_pause() -> None:
    """A step is as long as the plan says, not counting the pause."""
    after = carry_out(change(), record(State.PAUSED, paused_by="bob"), Verb.RESUME, "", quarantine=None)

    assert after.rollout.state is State.PROGRESSING
    assert after.rollout.step_started_at == NOW - 10 + 5


def test_a_rollback_condemns_the_release_and_an_abort_does_not() -> None:
    """Blame needs a decision of its own."""
    blamed, spared = change(), change()

    carry_out(blamed, record(), Verb.ROLLBACK, "users complain", quarantine=None)
    carry_out(spared, record(), Verb.ABORT, "wrong day", quarantine=None)

    (row,) = blamed.quarantined
    assert (row.subject, row.release, row.reason) == (record().subject, "fraud:v2", "users complain")
    assert row.decision_id == blamed.decided[0].id
    assert spared.quarantined == []


def test_rolling_back_what_was_promoted_is_possible() -> None:
    """Going back is always allowed; the finished rollout stays finished, a new one says it is condemned."""
    noted, promoted = change(), record(State.PROMOTED, step=2)

    after = carry_out(noted, promoted, Verb.ROLLBACK, "too slow after all", quarantine=None)

    (decided,) = noted.decided
    assert after.rollout.id != promoted.rollout.id
    assert after.rollout.state is State.ROLLED_BACK
    assert after.rollout.epoch > promoted.rollout.epoch
    assert not noted.records[promoted.rollout.id].current
    assert (decided.decision.from_weight, decided.decision.to_weight) == (1.0, 0.0)
    assert decided.decision.from_state is State.PROMOTED
    assert len(noted.quarantined) == 1


def test_restarting_a_running_rollout_forgets_its_evidence() -> None:
    """What was counted before proves nothing about what begins now."""
    after = carry_out(change(), record(step=1), Verb.RESTART, "", quarantine=None)

    assert (after.rollout.state, after.rollout.step) == (State.PROGRESSING, 0)
    assert after.evidence_from == after.rollout.stage
    assert after.rollout.epoch == record().rollout.epoch + 1


@pytest.mark.parametrize("state", [State.ROLLED_BACK, State.ABORTED, State.EXPIRED, State.PROMOTED])
def test_restarting_a_finished_rollout_begins_a_new_one(state: State) -> None:
    """The old one stays as it ended, for those who look back."""
    noted, old = change(), record(state, step=1)

    after = carry_out(noted, old, Verb.RESTART, "again", quarantine=None)

    assert after.rollout.id != old.rollout.id
    assert (after.rollout.state, after.weight) == (State.PROGRESSING, 0.1)
    assert after.current
    assert not noted.records[old.rollout.id].current
    assert noted.records[old.rollout.id].rollout.state is state
    assert noted.decided[0].decision.kind is DecisionKind.RESTARTED
    assert noted.decided[0].decision.from_state is state


def test_a_quarantine_is_lifted_only_with_a_reason() -> None:
    """A named person takes it on, in words."""
    condemned = record(State.ROLLED_BACK)
    row = quarantine(condemned)

    with pytest.raises(Refused) as refused:
        carry_out(change(), condemned, Verb.RESTART, "", quarantine=row)
    noted = change()
    after = carry_out(noted, condemned, Verb.RESTART, "the disk was full", quarantine=row)

    assert refused.value.code == "reason_required"
    assert "it failed" in refused.value.message
    assert noted.lifted[0].quarantine == row
    assert noted.lifted[0].reason == "the disk was full"
    assert after.rollout.state is State.PROGRESSING


@pytest.mark.parametrize("verb", sorted(set(Verb) - {Verb.RESTART}))
def test_a_quarantined_release_takes_no_command_but_restart(verb: Verb) -> None:
    """Promoting or starting it by the back door would serve what was condemned."""
    pending = record(State.PENDING)

    with pytest.raises(Refused, match=r"quarantined.*restart"):
        carry_out(change(), pending, verb, "", quarantine=quarantine(pending))


def test_a_rollout_that_is_not_in_charge_takes_no_command() -> None:
    """Its route listens to another one."""
    assert allowed(replace(record(), current=False), quarantined=False) == ()
