"""The life of an experiment as one table: what leads from one state to another, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


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


class IllegalStatusError(Exception):
    """An event that the present status does not know."""

    def __init__(self, status: Status, event: Event) -> None:
        legal = ", ".join(each.name.lower() for each in TRANSITIONS[status]) or "nothing: it has ended"
        super().__init__(f"an experiment that is {status.name.lower()} cannot {event.name.lower()}")
        self.remedy = f"it accepts {legal}"


def after(status: Status, event: Event) -> Status:
    """The status that follows.

    Raises:
        IllegalStatusError: there is none.
    """
    try:
        return TRANSITIONS[status][event]
    except KeyError:
        raise IllegalStatusError(status, event) from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    for status, row in TRANSITIONS.items():
        name = status.name.lower()
        lines += [f"    {name} --> {then.name.lower()}: {event.name.lower()}" for event, then in row.items()]
        lines += [] if row else [f"    {name} --> [*]"]
    return "\n".join(lines) + "\n"
