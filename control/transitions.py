"""State machines that are one table: what follows on an event, what is refused, and the diagram."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeVar

from control.errors import TransitionError

S = TypeVar("S", bound=IntEnum)
E = TypeVar("E", bound=IntEnum)


def after(
    table: Mapping[S, Mapping[E, S]],
    thing: str,
    status: S,
    event: E,
    commands: Mapping[E, str] | None = None,
) -> S:
    """The status of *thing* ("a deployment") that follows.

    Args:
        commands: what people say for the events that are theirs; None = all are, and are called so.

    Raises:
        TransitionError: the present status does not know the event.
    """
    row = table[status]
    if event in row:
        return row[event]
    words = {each: each.name.lower() for each in type(event)} if commands is None else commands
    said, state = words.get(event, event.name.lower()), status.name.lower().replace("_", " ")
    legal = ", ".join(words[each] for each in row if each in words) or "nothing: it has ended"
    raise TransitionError(f"{thing} that is {state} does not accept {said}", f"it accepts {legal}")


def diagram(table: Mapping[S, Mapping[E, S]]) -> str:
    """*table* as a Mermaid state diagram; its first row is where everything begins."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table)).name.lower()}"]
    for status, row in table.items():
        name = status.name.lower()
        lines += [f"    {name} --> {then.name.lower()}: {event.name.lower()}" for event, then in row.items()]
        lines += [] if row else [f"    {name} --> [*]"]
    return "\n".join(lines) + "\n"
