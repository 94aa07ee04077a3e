"""The states of a deployment and what leads from one to another, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from control import transitions


class Status(IntEnum):
    """Where a deployment stands."""

    PENDING = 0
    """Recorded; nothing was published yet."""
    IN_PROGRESS = 1
    """Its strategy is at work."""
    ACTIVE = 2
    """The release has the requests that were meant for it."""
    PAUSED = 3
    """It stays as it is until a person says so."""
    INCONCLUSIVE = 4
    """It stayed undecided for too long; what follows is a person's to say."""
    FAILED = 5
    """The release never became fit for requests; none was moved."""
    ROLLED_BACK = 6
    """All requests are back with what served them before."""
    CANCELLED = 7
    """A person, or another configuration, ended it without blame."""


class Event(IntEnum):
    """What can happen to a deployment."""

    BEGIN = 0
    COMPLETE = 1
    PAUSE = 2
    RESUME = 3
    STALL = 4
    FAIL = 5
    ROLL_BACK = 6
    CANCEL = 7


TRANSITIONS: Final[Mapping[Status, Mapping[Event, Status]]] = {
    Status.PENDING: {
        Event.BEGIN: Status.IN_PROGRESS,
        Event.FAIL: Status.FAILED,
        Event.CANCEL: Status.CANCELLED,
    },
    Status.IN_PROGRESS: {
        Event.COMPLETE: Status.ACTIVE,
        Event.PAUSE: Status.PAUSED,
        Event.STALL: Status.INCONCLUSIVE,
        Event.FAIL: Status.FAILED,
        Event.ROLL_BACK: Status.ROLLED_BACK,
        Event.CANCEL: Status.CANCELLED,
    },
    Status.ACTIVE: {
        # Going back must always be possible, also when everything seemed well.
        Event.ROLL_BACK: Status.ROLLED_BACK,
    },
    Status.PAUSED: {
        Event.RESUME: Status.IN_PROGRESS,
        Event.COMPLETE: Status.ACTIVE,
        Event.STALL: Status.INCONCLUSIVE,
        Event.ROLL_BACK: Status.ROLLED_BACK,
        Event.CANCEL: Status.CANCELLED,
    },
    Status.INCONCLUSIVE: {
        Event.RESUME: Status.IN_PROGRESS,
        Event.COMPLETE: Status.ACTIVE,
        Event.ROLL_BACK: Status.ROLLED_BACK,
        Event.CANCEL: Status.CANCELLED,
    },
    Status.FAILED: {},
    Status.ROLLED_BACK: {},
    Status.CANCELLED: {},
}

COMMANDS: Final[Mapping[Event, str]] = {
    Event.COMPLETE: "promote",
    Event.PAUSE: "pause",
    Event.RESUME: "resume",
    Event.ROLL_BACK: "rollback",
    Event.CANCEL: "cancel",
}
"""The events that are people's to cause, and what they say for them."""

FINISHED: Final = frozenset(status for status, row in TRANSITIONS.items() if not row)
"""States that refuse every event; another attempt is another deployment."""

OPEN: Final = frozenset({Status.PENDING, Status.IN_PROGRESS, Status.PAUSED, Status.INCONCLUSIVE})
"""States in which it is not known yet how it comes out."""


def after(status: Status, event: Event) -> Status:
    """The status that follows.

    Raises:
        TransitionError: there is none.
    """
    return transitions.after(TRANSITIONS, "a deployment", status, event, COMMANDS)
