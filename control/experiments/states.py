"""The life of an experiment as one table: what leads from one state to another, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from control import transitions


class Status(IntEnum):
    """Where an experiment stands."""

    DRAFT = 0
    """Described; nothing is divided yet."""
    RUNNING = 1
    """Requests are divided among its variants, and compared."""
    PAUSED = 2
    """Everybody gets the control variant for a while; whoever was where comes back there."""
    COMPLETED = 3
    """It ended as planned, with a result."""
    CANCELLED = 4
    """It ended without one."""


class Event(IntEnum):
    """What can happen to an experiment."""

    START = 0
    PAUSE = 1
    COMPLETE = 2
    CANCEL = 3


TRANSITIONS: Final[Mapping[Status, Mapping[Event, Status]]] = {
    Status.DRAFT: {Event.START: Status.RUNNING, Event.CANCEL: Status.CANCELLED},
    Status.RUNNING: {
        Event.PAUSE: Status.PAUSED,
        Event.COMPLETE: Status.COMPLETED,
        Event.CANCEL: Status.CANCELLED,
    },
    Status.PAUSED: {
        Event.START: Status.RUNNING,
        Event.COMPLETE: Status.COMPLETED,
        Event.CANCEL: Status.CANCELLED,
    },
    Status.COMPLETED: {},
    Status.CANCELLED: {},
}

FINISHED: Final = frozenset(status for status, row in TRANSITIONS.items() if not row)
"""States that refuse every event."""


def after(status: Status, event: Event) -> Status:
    """The status that follows.

    Raises:
        TransitionError: there is none.
    """
    return transitions.after(TRANSITIONS, "an experiment", status, event)
