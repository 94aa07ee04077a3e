"""How rollouts move: gates, what people may ask, and what is decided with which reason."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.guardrails.finding import Verdict
from control.judgement.analysis import Analysis
from control.plans.plan import RolloutPlan
from control.rollout.machine import (
    APPROVAL,
    EXPIRY,
    FINISHED,
    TRANSITIONS,
    Command,
    Decision,
    DecisionKind,
    Event,
    IllegalEventError,
    Rollout,
    State,
    advance,
    command,
    gates,
    supersede,
    weight,
)

PLAN = RolloutPlan.from_config({"steps": ["5%", "50%", "100%"], "duration": "30s", "requests": 100})
COMMANDS = {
    Command.PROMOTE: Event.ADVANCE,
    Command.COMPLETE: Event.PROMOTE,
    Command.PAUSE: Event.PAUSE,
    Command.RESUME: Event.RESUME,
    Command.ABORT: Event.ABORT,
    Command.ROLLBACK: Event.ROLL_BACK,
    Command.RESTART: Event.RESTART,
}


def made(state: State = State.PENDING, **changes: Any) -> Rollout:
    rollout = Rollout(
        id="r1",
        route="fraud",
        stable="v1",
        canary="v2",
        state=state,
        created_at=0.0,
        started_at=None if state is State.PENDING else 0.0,
        step_started_at=None if state is State.PENDING else 0.0,
        paused_at=10.0 if state is State.PAUSED else None,
        paused_by="alice" if state is State.PAUSED else "",
    )
    return replace(rollout, **changes)


def analysis(verdict: Verdict = Verdict.PASS, **changes: Any) -> Analysis:
    values: dict[str, Any] = {
        "at": 1.0,
        "verdict": verdict,
        "reason": f"because it is {verdict.name}",
        "threshold": 100.0,
        "step_requests": 100,
    }
    return Analysis(**{**values, **changes})


def test_finished_states_refuse_everything() -> None:
    """By every event of the table and by every command."""
    for state in FINISHED:
        rollout = made(state)
        assert rollout.finished
        assert advance(rollout, PLAN, analysis(Verdict.FAIL), 99.0).decision is None
        for asked in Command:
            with pytest.raises(IllegalEventError, match="it is finished"):
                command(rollout, PLAN, asked, "alice", "", 1.0)
        with pytest.raises(IllegalEventError):
            supersede(rollout, PLAN, "", 1.0)


def test_a_rollout_begins_by_itself_or_waits() -> None:
    moved = advance(made(), PLAN, None, 5.0)
    assert moved.rollout.state is State.PROGRESSING
    assert (moved.rollout.started_at, moved.rollout.step_started_at) == (5.0, 5.0)
    assert moved.decision is not None
    assert moved.decision.kind is DecisionKind.STARTED
    assert (moved.decision.from_weight, moved.decision.to_weight) == (0.0, 0.05)
    assert moved.rollout.stage == 1

    waiting = replace(PLAN, auto_start=False)
    assert advance(made(), waiting, None, 5.0).decision is None
    asked = command(made(), waiting, Command.PROMOTE, "alice", "go", 6.0)
    assert asked.decision is not None
    assert (asked.decision.kind, asked.decision.actor) == (DecisionKind.STARTED, "alice")


def test_switched_off_decides_nothing() -> None:
    off = replace(PLAN, enabled=False)

    for state in State:
        assert advance(made(state), off, analysis(Verdict.FAIL), 999.0).rollout == made(state)


@pytest.mark.parametrize("state", [State.PROGRESSING, State.PAUSED])
def test_harm_rolls_back_at_once(state: State) -> None:
    """From the first second, also while a person has paused the ramp."""
    moved = advance(made(state), PLAN, analysis(Verdict.FAIL), 1.0)

    assert moved.rollout.state is State.ROLLED_BACK
    assert weight(moved.rollout, PLAN) == 0.0
    assert moved.rollout.epoch == 1
    assert moved.rollout.finished_at == 1.0
    assert moved.decision is not None
    assert moved.decision.reason == "because it is FAIL"
    assert moved.decision.analysis == analysis(Verdict.FAIL)


def test_a_step_widens_when_all_its_gates_are_met() -> None:
    """Time, requests and evidence; one missing is enough to wait."""
    rollout = made(State.PROGRESSING)

    assert advance(rollout, PLAN, analysis(), 29.9).decision is None
    assert advance(rollout, PLAN, analysis(step_requests=99), 30.0).decision is None
    for verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA):
        assert advance(rollout, PLAN, analysis(verdict), 30.0).decision is None
    assert advance(rollout, PLAN, None, 30.0).decision is None
    moved = advance(rollout, PLAN, analysis(), 30.0)

    assert moved.rollout.step == 1
    assert moved.rollout.step_started_at == 30.0
    assert moved.decision is not None
    assert moved.decision.kind is DecisionKind.ADVANCED
    assert (moved.decision.from_weight, moved.decision.to_weight) == (0.05, 0.5)
    assert moved.rollout.stage == rollout.stage + 1


def test_the_last_step_promotes() -> None:
    moved = advance(made(State.PROGRESSING, step=2), PLAN, analysis(), 30.0)

    assert moved.rollout.state is State.PROMOTED
    assert weight(moved.rollout, PLAN) == 1.0
    assert moved.rollout.stage == 0, "the weight was full already"


def test_gates_say_how_far_they_are() -> None:
    """What a person sees while waiting."""
    shown = gates(made(State.PROGRESSING), PLAN, analysis(Verdict.INCONCLUSIVE, step_requests=40), 12.0)

    assert [(gate.name, gate.met) for gate in shown] == [
        ("time", False),
        ("requests", False),
        ("evidence", False),
    ]
    assert shown[0].text == "12 s of 30 s at 0.05 of requests"
    assert shown[1].text == "40 of 100 canary requests answered at this step"
    assert shown[2].text == "because it is INCONCLUSIVE"
    assert [gate.met for gate in gates(made(State.PROGRESSING), PLAN, None, 40.0)] == [True, False, False]


@pytest.mark.parametrize(("own", "said"), [({}, "12 s"), ({"duration": "1m"}, "12 s of 60 s")])
def test_a_step_with_copies_alone_says_so(own: dict[str, str], said: str) -> None:
    """It has no share of requests, and no least time unless one is set."""
    plan = RolloutPlan.from_config({"steps": [{"shadow": "v2", "agreement": 0.99, **own}, "5%", "100%"]})
    shown = gates(made(State.PROGRESSING), plan, None, 12.0)

    assert (shown[0].text, shown[0].met) == (f"{said} with copies alone", not own)


def test_a_hold_is_decided_once() -> None:
    """A broken comparison stops widening; it is written down when it begins, not every second."""
    rollout = made(State.PROGRESSING)
    held = analysis(hold="the comparison is broken", hold_code="sample_ratio")

    first = advance(rollout, PLAN, held, 30.0)
    second = advance(first.rollout, PLAN, held, 31.0)
    over = advance(second.rollout, PLAN, analysis(step_requests=1), 32.0)

    assert first.decision is not None
    assert first.decision.kind is DecisionKind.HELD
    assert first.decision.reason == "the comparison is broken"
    assert second.decision is None
    assert over.decision is None
    assert over.rollout.held == ""


def test_a_manual_step_waits_for_a_person() -> None:
    """Its gates come first; then a promotion or a resumption lets it pass."""
    plan = RolloutPlan.from_config({"steps": [{"weight": "5%", "manual": True}, "50%"], "duration": 0})
    moved = advance(made(State.PROGRESSING), plan, analysis(), 1.0)
    assert (moved.rollout.state, moved.rollout.paused_by) == (State.PAUSED, APPROVAL)
    assert advance(moved.rollout, plan, analysis(), 500.0).decision is None

    for asked in (Command.PROMOTE, Command.RESUME):
        after = command(moved.rollout, plan, asked, "alice", "", 9.0)

        assert (after.rollout.state, after.rollout.step) == (State.PROGRESSING, 1)
        assert after.rollout.paused_at is None
        assert after.decision is not None
        assert after.decision.actor == "alice"


def test_a_pause_stops_the_clock() -> None:
    """Time under judgement goes on where it stood."""
    paused = command(made(State.PROGRESSING), PLAN, Command.PAUSE, "alice", "lunch", 10.0).rollout
    assert paused.reason == "lunch"
    assert gates(paused, PLAN, analysis(), 500.0)[0].text.startswith("10 s of 30 s")

    resumed = command(paused, PLAN, Command.RESUME, "bob", "", 500.0).rollout

    assert resumed.state is State.PROGRESSING
    assert advance(resumed, PLAN, analysis(), 519.0).decision is None
    assert advance(resumed, PLAN, analysis(), 520.0).decision is not None


def test_undecided_for_too_long_waits_for_a_person() -> None:
    """Guardrails stay active, and a person who resumes gives it the whole time again."""
    plan = replace(PLAN, expiry_s=100.0)
    moved = advance(made(State.PROGRESSING), plan, analysis(Verdict.NO_DATA), 100.0)

    assert (moved.rollout.state, moved.rollout.paused_by) == (State.PAUSED, EXPIRY)
    assert "without anything to judge by after 100 s: because it is NO_DATA" in moved.rollout.reason
    resumed = command(moved.rollout, plan, Command.RESUME, "alice", "", 400.0).rollout
    assert advance(resumed, plan, analysis(Verdict.NO_DATA), 499.0).decision is None
    assert advance(resumed, plan, analysis(Verdict.NO_DATA), 500.0).decision is not None


def test_undecided_for_too_long_may_go_back_to_stable() -> None:
    plan = RolloutPlan.from_config({"expiry": "100s", "on_expiry": "rollback"})
    moved = advance(made(State.PROGRESSING), plan, analysis(Verdict.INCONCLUSIVE), 100.0)

    assert moved.rollout.state is State.EXPIRED
    assert weight(moved.rollout, plan) == 0.0
    for_ever = replace(plan, expiry_s=0.0)
    assert advance(made(State.PROGRESSING), for_ever, analysis(Verdict.INCONCLUSIVE), 1e9).decision is None


def test_a_restart_forgets_the_evidence() -> None:
    """From the first step, with new assignments and a new stage."""
    moved = command(made(State.PROGRESSING, step=1, stage=4), PLAN, Command.RESTART, "alice", "", 50.0)

    assert moved.forget_evidence
    assert (moved.rollout.step, moved.rollout.stage, moved.rollout.epoch) == (0, 5, 1)
    assert moved.rollout.step_started_at == 50.0


def test_commands_follow_the_table() -> None:
    """A command is legal exactly where its event is."""
    for state in set(State) - FINISHED:
        for asked, event in COMMANDS.items():
            if (state, asked) == (State.PENDING, Command.PROMOTE):
                event = Event.START
            if event in TRANSITIONS[state]:
                moved = command(made(state), PLAN, asked, "alice", "", 20.0)
                assert moved.rollout.state is TRANSITIONS[state][event]
                assert moved.decision is not None
                assert moved.decision.reason == "asked for by alice"
            else:
                with pytest.raises(IllegalEventError) as caught:
                    command(made(state), PLAN, asked, "alice", "", 20.0)
                assert (caught.value.state, caught.value.event) == (state, event)


def test_promotion_of_the_last_step_finishes() -> None:
    moved = command(made(State.PAUSED, step=2), PLAN, Command.PROMOTE, "alice", "", 20.0)

    assert moved.rollout.state is State.PROMOTED


def test_a_shorter_plan_does_not_strand_a_rollout() -> None:
    """After a change of configuration the last step stands in for one that is gone."""
    rollout = made(State.PROGRESSING, step=7)

    assert weight(rollout, PLAN) == 1.0
    assert advance(rollout, PLAN, analysis(), 30.0).rollout.state is State.PROMOTED


def test_values_survive_json() -> None:
    rollout = made(State.PAUSED, step=1, stage=3, epoch=2, reason="why")
    moved = advance(made(State.PROGRESSING), PLAN, analysis(), 30.0)
    assert moved.decision is not None

    assert Rollout.from_json(json.loads(json.dumps(rollout.to_json()))) == rollout
    data = json.loads(json.dumps(moved.decision.to_json()))
    assert Decision.from_json(data) == moved.decision
    assert data["kind"] == "advanced"
    asked = command(rollout, PLAN, Command.RESUME, "alice", "", 1.0).decision
    assert asked is not None
    assert Decision.from_json(json.loads(json.dumps(asked.to_json()))) == asked


@given(
    st.lists(
        st.one_of(
            st.sampled_from(list(Command)),
            st.tuples(st.sampled_from(list(Verdict)), st.booleans()),
        ),
        max_size=40,
    )
)
def test_no_sequence_of_events_breaks_an_invariant(events: list[Any]) -> None:
    """Weights are the steps', 0 or 1; the stage rises with every change of weight; the end is the end."""
    rollout, now = made(), 0.0
    for event in events:
        now += 40.0
        before = rollout
        try:
            if isinstance(event, Command):
                moved = command(rollout, PLAN, event, "alice", "", now)
            else:
                moved = advance(rollout, PLAN, analysis(event[0], step_requests=100 * event[1]), now)
        except IllegalEventError:
            continue
        rollout = moved.rollout
        shares = weight(before, PLAN), weight(rollout, PLAN)
        assert shares[1] in {0.0, 1.0, *(step.weight for step in PLAN.steps)}
        assert (rollout.stage > before.stage) or shares[0] == shares[1]
        assert rollout.epoch >= before.epoch
        assert (rollout.finished_at is not None) == rollout.finished
        if before.finished:
            assert rollout == before
        if rollout.state != before.state:
            assert moved.decision is not None
            assert (moved.decision.from_state, moved.decision.to_state) == (before.state, rollout.state)
            assert (moved.decision.from_weight, moved.decision.to_weight) == shares


@pytest.mark.parametrize(
    ("shown", "changes", "state"),
    [
        (True, {}, State.PROMOTED),
        (False, {}, State.PROGRESSING),
        (True, {"log_e": 3.5}, State.PROGRESSING),
        (True, {"diverted": 1}, State.PROGRESSING),
        (True, {"step_requests": 0}, State.PROGRESSING),
        (True, {"warming": True}, State.PROGRESSING),
        (True, {"hold": "it fails more than control did", "hold_code": "baseline"}, State.PROGRESSING),
    ],
)
def test_late_ends_of_earlier_steps_do_not_keep_the_last_one_for_ever(
    shown: bool, changes: dict[str, Any], state: State
) -> None:
    """Without control nothing could ever answer them; strong evidence and every other doubt still hold it."""
    rollout = made(State.PROGRESSING, step=2, shown=shown)
    seen = analysis(Verdict.INCONCLUSIVE, **{"log_e": 0.2, **changes})
    plan = replace(PLAN, steps=tuple(replace(step, requests=0) for step in PLAN.steps))

    moved = advance(rollout, plan, seen, 100.0)

    assert moved.rollout.state is state
    if state is State.PROMOTED:
        assert moved.decision is not None
        assert moved.decision.reason.startswith("what was shown before stands")


def test_what_was_shown_is_remembered_only_if_it_was() -> None:
    """The controller, and a person who approves, go on with evidence; a person who promotes may have none."""
    step = made(State.PROGRESSING, step=1)
    waiting = replace(step, state=State.PAUSED, paused_by=APPROVAL, paused_at=1.0)

    by_itself = advance(step, PLAN, analysis(), 100.0).rollout
    approved = command(waiting, PLAN, Command.PROMOTE, "alice", "", 100.0).rollout
    pushed = command(step, PLAN, Command.PROMOTE, "alice", "", 100.0).rollout

    assert (by_itself.step, by_itself.shown) == (2, True)
    assert (approved.step, approved.shown) == (2, True)
    assert (pushed.step, pushed.shown) == (2, False)
