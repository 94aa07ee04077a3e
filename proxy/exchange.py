"""The life of one exchange (a request and its answer) as one table; knows no sockets, clocks or bytes.

Theory of operation. An exchange joins two streams that progress on their own: the request from downstream
and the response from upstream. Which of them is still running is the state. A request that arrives in one
piece on a pooled connection takes the short path NEW -> AWAITING -> DONE or NEW -> AWAITING -> RELAYING ->
DONE; everything else is a detour. An event that a state has no row for is a bug of ours, never of a peer,
and raises IllegalEventError.
"""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where an exchange stands; names say what it waits for."""

    NEW = 0
    """A head was accepted; no variant has been chosen."""
    HOLDING = 1
    """The body is collected, because the split needs to look into it."""
    CONNECTING = 2
    """A variant was chosen; neither the connection nor the end of the request is there."""
    CONNECTING_COMPLETE = 3
    """The whole request is in hand; the connection is not there yet."""
    SENDING = 4
    """The request streams up; no final response head has come."""
    AWAITING = 5
    """The request is out; the final response head is awaited."""
    DUPLEX = 6
    """The response has started while the request still streams up (RFC 9112, section 9.5)."""
    RELAYING = 7
    """The request is out and the response streams down."""
    TUNNEL = 8
    """Both sides agreed to switch protocols (RFC 9110, section 15.2.2)."""
    DONE = 9
    """The response went out whole."""
    FAILED = 10
    """The upstream, or we, could not complete it."""
    ABANDONED = 11
    """The client went away."""


class Event(IntEnum):
    """What may happen to an exchange."""

    HOLD = 0
    """The split asks for the body."""
    ASSIGN = 1
    """A variant was chosen while the request is still coming."""
    ASSIGN_COMPLETE = 2
    """A variant was chosen and the whole request is in hand."""
    CONNECTED = 3
    """A connection took what is there of the request."""
    REQUEST_END = 4
    """The last byte of the request arrived from downstream."""
    RESPONSE_HEAD = 5
    """A final response head went downstream; its body follows."""
    SWITCH = 6
    """A 101 that was asked for went downstream."""
    RESPONSE_END = 7
    """The last byte of the response went downstream."""
    RETRY = 8
    """The connection was lost before any answer and another attempt is safe."""
    FAULT = 9
    """The exchange cannot be completed."""
    CLIENT_GONE = 10
    """Downstream closed, reset or stopped taking part."""


class IllegalEventError(RuntimeError):
    """An event came in a state that has no row for it: a bug in this program."""


TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.NEW: {
        Event.HOLD: State.HOLDING,
        Event.ASSIGN: State.CONNECTING,
        Event.ASSIGN_COMPLETE: State.CONNECTING_COMPLETE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.HOLDING: {
        Event.ASSIGN: State.CONNECTING,
        Event.ASSIGN_COMPLETE: State.CONNECTING_COMPLETE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.CONNECTING: {
        Event.CONNECTED: State.SENDING,
        Event.REQUEST_END: State.CONNECTING_COMPLETE,
        Event.RETRY: State.CONNECTING,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.CONNECTING_COMPLETE: {
        Event.CONNECTED: State.AWAITING,
        Event.RETRY: State.CONNECTING_COMPLETE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.SENDING: {
        Event.REQUEST_END: State.AWAITING,
        # An upstream may answer before it has read the whole body (RFC 9112, section 9.5).
        Event.RESPONSE_HEAD: State.DUPLEX,
        Event.RESPONSE_END: State.DONE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.AWAITING: {
        Event.RESPONSE_HEAD: State.RELAYING,
        Event.RESPONSE_END: State.DONE,
        Event.SWITCH: State.TUNNEL,
        Event.RETRY: State.CONNECTING_COMPLETE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.DUPLEX: {
        Event.REQUEST_END: State.RELAYING,
        Event.RESPONSE_END: State.DONE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.RELAYING: {
        Event.RESPONSE_END: State.DONE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.ABANDONED,
    },
    State.TUNNEL: {
        # Either side ends a tunnel by closing; that is its regular end.
        Event.RESPONSE_END: State.DONE,
        Event.FAULT: State.FAILED,
        Event.CLIENT_GONE: State.DONE,
    },
    State.DONE: {},
    State.FAILED: {},
    State.ABANDONED: {},
}

FINISHED: Final = frozenset(state for state, row in TRANSITIONS.items() if not row)

EVENTS: Final = len(Event)
ILLEGAL: Final = -1


def flatten(table: dict[State, dict[Event, State]]) -> tuple[int, ...]:
    """Lay the table out as ``NEXT[state * EVENTS + event]``, the form the hot path indexes."""
    cells = [ILLEGAL] * (len(State) * EVENTS)
    for state, row in table.items():
        for event, target in row.items():
            cells[state * EVENTS + event] = int(target)
    return tuple(cells)


NEXT: Final = flatten(TRANSITIONS)


def step(state: int, event: int) -> int:
    """Return the state after ``event``; raise IllegalEventError where the table has no row."""
    target = NEXT[state * EVENTS + event]
    if target < 0:
        raise IllegalEventError(f"{Event(event).name} in state {State(state).name}")
    return target


def diagram() -> str:
    """Return the table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> NEW"]
    for state, row in TRANSITIONS.items():
        for event, target in row.items():
            lines.append(f"    {state.name} --> {target.name}: {event.name.lower()}")
        if not row:
            lines.append(f"    {state.name} --> [*]")
    return "\n".join(lines) + "\n"
