"""The machine as a table."""

from __future__ import annotations

from pathlib import Path

from control.rollout.states import FINISHED, TRANSITIONS, Event, State
from control.transitions import diagram

DOCS = Path(__file__).parents[3] / "docs" / "rollouts.md"


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_only_the_end_is_final() -> None:
    """Each final state has an empty row, and every other one can reach an end."""
    assert {
        State.PROMOTED,
        State.ROLLED_BACK,
        State.ABORTED,
        State.EXPIRED,
        State.SUPERSEDED,
    } == FINISHED
    for state in FINISHED:
        assert not TRANSITIONS[state]


def test_whatever_is_not_finished_can_be_ended_by_a_person() -> None:
    """Abort, rollback and full promotion are always possible."""
    for state in set(State) - FINISHED:
        for event in (Event.ABORT, Event.ROLL_BACK, Event.PROMOTE, Event.SUPERSEDE):
            assert TRANSITIONS[state][event] in FINISHED


def test_every_event_and_every_state_is_used() -> None:
    used = {event for row in TRANSITIONS.values() for event in row}
    reached = {after for row in TRANSITIONS.values() for after in row.values()}

    assert used == set(Event)
    assert reached | {State.PENDING} == set(State)


def test_the_documented_diagram_is_the_table() -> None:
    """Generated, so that it cannot be out of date."""
    assert f"```mermaid\n{diagram(TRANSITIONS)}```" in DOCS.read_text(encoding="utf-8")
    for state, row in TRANSITIONS.items():
        for event, after in row.items():
            assert f"{state.name.lower()} --> {after.name.lower()}: {event.name.lower()}" in diagram(
                TRANSITIONS
            )
