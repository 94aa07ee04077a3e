"""The state machine of an exchange, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import FINISHED, TRANSITIONS, Event, IllegalEventError, State, diagram, step


def test_every_state_has_a_row() -> None:
    """No state was forgotten in the table."""
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", sorted(FINISHED))
@pytest.mark.parametrize("event", list(Event))
def test_finished_exchange_refuses_every_event(state: State, event: Event) -> None:
    """What has ended is counted; nothing may happen to it again."""
    with pytest.raises(IllegalEventError, match=f"{event.name} in state {state.name}"):
        step(state, event)


def test_three_states_are_final() -> None:
    """An exchange is done, failed or abandoned in the end."""
    assert {State.DONE, State.FAILED, State.ABANDONED} == FINISHED


@given(st.lists(st.sampled_from(list(Event)), max_size=12))
def test_flat_table_agrees_with_the_readable_one(events: list[Event]) -> None:
    """The form the hot path indexes says what the table says, along any path."""
    state = State.NEW
    for event in events:
        expected = TRANSITIONS[state].get(event)
        if expected is None:
            with pytest.raises(IllegalEventError):
                step(state, event)
            return
        state = State(step(state, event))
        assert state is expected


def test_every_state_can_be_reached_and_left() -> None:
    """There is a way from NEW to each state, and from each state to an end."""
    reached = {State.NEW}
    frontier = [State.NEW]
    while frontier:
        for target in TRANSITIONS[frontier.pop()].values():
            if target not in reached:
                reached.add(target)
                frontier.append(target)

    assert reached == set(State)
    for state in set(State) - FINISHED:
        assert FINISHED & set(TRANSITIONS[state].values())


def test_retry_leads_back_to_waiting_for_a_connection() -> None:
    """A retry is possible only before any answer."""
    sources = {state for state, row in TRANSITIONS.items() if Event.RETRY in row}

    assert sources == {State.CONNECTING, State.CONNECTING_COMPLETE, State.AWAITING}


def test_diagram_names_every_transition() -> None:
    """The documentation's diagram is generated from the table."""
    text = diagram()

    for state, row in TRANSITIONS.items():
        for event, target in row.items():
            assert f"{state.name} --> {target.name}: {event.name.lower()}" in text
