"""The life of one exchange (a request and its answer) as one table; knows no sockets, clocks or bytes.

Theory of operation. An exchange joins two streams that progress on their own: the request from downstream
and the response from upstream. Which of them is still running is the state. A request that arrives in one
piece on a pooled connection takes the short path NEW -> AWAITING -> DONE or NEW -> AWAITING -> RELAYING ->
DONE; everything else is a detour. An event that a state has no row for is a bug of ours, never of a peer,
and raises IllegalEventError.

States and events have two spellings: the enumerations are for the table, messages and tests; the plain
numbers above them are what the hot path compares, because a compiler puts those in place.
"""

from enum import IntEnum
from typing import Final

NEW: Final = 0
HOLDING: Final = 1
CONNECTING: Final = 2
CONNECTING_COMPLETE: Final = 3
SENDING: Final = 4
AWAITING: Final = 5
DUPLEX: Final = 6
RELAYING: Final = 7
TUNNEL: Final = 8
DONE: Final = 9
FAILED: Final = 10
ABANDONED: Final = 11

HOLD: Final = 0
ASSIGN: Final = 1
ASSIGN_COMPLETE: Final = 2
CONNECTED: Final = 3
REQUEST_END: Final = 4
RESPONSE_HEAD: Final = 5
SWITCH: Final = 6
RESPONSE_END: Final = 7
RETRY: Final = 8
FAULT: Final = 9
CLIENT_GONE: Final = 10
EVENTS: Final = 11
ILLEGAL: Final = -1


class State(IntEnum):
    """Where an exchange stands; names say what it waits for."""

    NEW = NEW
    """A head was accepted; no variant has been chosen."""
    HOLDING = HOLDING
    """The body is collected, because the split needs to look into it."""
    CONNECTING = CONNECTING
    """A variant was chosen; neither the connection nor the end of the request is there."""
    CONNECTING_COMPLETE = CONNECTING_COMPLETE
    """The whole request is in hand; the connection is not there yet."""
    SENDING = SENDING
    """The request streams up; no final response head has come."""
    AWAITING = AWAITING
    """The request is out; the final response head is awaited."""
    DUPLEX = DUPLEX
    """The response has started while the request still streams up (RFC 9112, section 9.5)."""
    RELAYING = RELAYING
    """The request is out and the response streams down."""
    TUNNEL = TUNNEL
    """Both sides agreed to switch protocols (RFC 9110, section 15.2.2)."""
    DONE = DONE
    """The response went out whole."""
    FAILED = FAILED
    """The upstream, or we, could not complete it."""
    ABANDONED = ABANDONED
    """The client went away."""


class Event(IntEnum):
    """What may happen to an exchange."""

    HOLD = HOLD
    """The split asks for the body."""
    ASSIGN = ASSIGN
    """A variant was chosen while the request is still coming."""
    ASSIGN_COMPLETE = ASSIGN_COMPLETE
    """A variant was chosen and the whole request is in hand."""
    CONNECTED = CONNECTED
    """A connection took what is there of the request."""
    REQUEST_END = REQUEST_END
    """The last byte of the request arrived from downstream."""
    RESPONSE_HEAD = RESPONSE_HEAD
    """A final response head went downstream; its body follows."""
    SWITCH = SWITCH
    """A 101 that was asked for went downstream."""
    RESPONSE_END = RESPONSE_END
    """The last byte of the response went downstream."""
    RETRY = RETRY
    """The connection was lost before any answer and another attempt is safe."""
    FAULT = FAULT
    """The exchange cannot be completed."""
    CLIENT_GONE = CLIENT_GONE
    """Downstream closed, reset or stopped taking part."""


class IllegalEventError(Exception):
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


def flatten(table: dict[State, dict[Event, State]]) -> tuple[int, ...]:
    """Lay the table out as ``NEXT[state * EVENTS + event]``, the form the hot path indexes."""
    assert len(Event) == EVENTS
    cells = [ILLEGAL] * (len(State) * EVENTS)
    for state, row in table.items():
        for event, target in row.items():
            cells[state * EVENTS + event] = int(target)
    return tuple(cells)


NEXT: Final[tuple[int, ...]] = flatten(TRANSITIONS)


def step(state: int, event: int) -> int:
    """Return the state after ``event``; raise IllegalEventError where the table has no row."""
    target = NEXT[state * EVENTS + event]
    if target < 0:
        raise IllegalEventError(f"{Event(event).name} in state {State(state).name}")
    return target


# Steps that nearly every exchange makes, which `proxy.relay` writes out instead of looking them up.
assert step(NEW, ASSIGN) == CONNECTING
assert step(NEW, ASSIGN_COMPLETE) == CONNECTING_COMPLETE
assert step(CONNECTING_COMPLETE, CONNECTED) == AWAITING
assert step(AWAITING, RESPONSE_END) == DONE


def diagram() -> str:
    """Return the table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> NEW"]
    for state, row in TRANSITIONS.items():
        for event, target in row.items():
            lines.append(f"    {state.name} --> {target.name}: {event.name.lower()}")
        if not row:
            lines.append(f"    {state.name} --> [*]")
    return "\n".join(lines) + "\n"
