"""The states of a rollout and what leads from one to another: the whole machine is the one table in here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where a rollout stands."""

    PENDING = 0
    """Not begun: the canary gets nothing."""
    PROGRESSING = 1
    """The canary has the weight of the current step and is judged."""
    PAUSED = 2
    """As progressing, but nothing widens until a person says so; guardrails stay active."""
    PROMOTED = 3
    """The canary has all requests."""
    ROLLED_BACK = 4
    """The canary was condemned: all requests are back with stable."""
    ABORTED = 5
    """A person ended it without a verdict on the canary."""
    EXPIRED = 6
    """It stayed undecided for too long, and all requests went back to stable."""
    SUPERSEDED = 7
    """Another rollout took the route."""


class Event(IntEnum):
    """What can happen to a rollout."""

    START = 0
    ADVANCE = 1
    PROMOTE = 2
    ROLL_BACK = 3
    PAUSE = 4
    RESUME = 5
    ABORT = 6
    EXPIRE = 7
    SUPERSEDE = 8
    RESTART = 9


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.PENDING: {
        Event.START: State.PROGRESSING,
        Event.PROMOTE: State.PROMOTED,
        Event.ROLL_BACK: State.ROLLED_BACK,
        Event.ABORT: State.ABORTED,
        Event.SUPERSEDE: State.SUPERSEDED,
    },
    State.PROGRESSING: {
        Event.ADVANCE: State.PROGRESSING,
        Event.PROMOTE: State.PROMOTED,
        Event.ROLL_BACK: State.ROLLED_BACK,
        Event.PAUSE: State.PAUSED,
        Event.ABORT: State.ABORTED,
        Event.EXPIRE: State.EXPIRED,
        Event.SUPERSEDE: State.SUPERSEDED,
        Event.RESTART: State.PROGRESSING,
    },
    State.PAUSED: {
        Event.ADVANCE: State.PROGRESSING,
        Event.PROMOTE: State.PROMOTED,
        # A pause stops the ramp, not the guard: a canary may turn bad while people are deciding.
        Event.ROLL_BACK: State.ROLLED_BACK,
        Event.RESUME: State.PROGRESSING,
        Event.ABORT: State.ABORTED,
        Event.SUPERSEDE: State.SUPERSEDED,
        Event.RESTART: State.PROGRESSING,
    },
    State.PROMOTED: {},
    State.ROLLED_BACK: {},
    State.ABORTED: {},
    State.EXPIRED: {},
    State.SUPERSEDED: {},
}

FINISHED: Final = frozenset(state for state, row in TRANSITIONS.items() if not row)
"""States that refuse every event; a new attempt is a new rollout."""


class IllegalEventError(Exception):
    """An event that the current state does not know."""

    def __init__(self, state: State, event: Event) -> None:
        legal = ", ".join(name.name.lower() for name in TRANSITIONS[state]) or "nothing: it is finished"
        super().__init__(
            f"a rollout that is {state.name.lower()} cannot {event.name.lower()}; it accepts {legal}"
        )
        self.state = state
        self.event = event
