"""How one request ended: the classes that are counted, judged and shown."""

from enum import IntEnum
from typing import Final


class Outcome(IntEnum):
    """How one request ended, as the client of the proxy saw it.

    The numbers are cell offsets in the counter pages and list positions on the link to control, so they
    never change their meaning: a new class takes a new number and a new layout version.
    """

    OK = 0
    """A complete response with a status below 400."""
    UPSTREAM_4XX = 1
    """A complete response with a status from 400 to 499, except 429."""
    UPSTREAM_429 = 2
    """The upstream said that it is asked too often."""
    UPSTREAM_5XX = 3
    """A complete response with a status of 500 or more."""
    CONNECT_FAILED = 4
    """No connection to the upstream could be opened: refused, unreachable, or its name unknown."""
    TIMEOUT_CONNECT = 5
    """Opening a connection took longer than allowed."""
    TIMEOUT_FIRST_BYTE = 6
    """The upstream did not begin its response in time."""
    TIMEOUT_IDLE = 7
    """The response began and then paused for longer than allowed."""
    TIMEOUT_TOTAL = 8
    """The whole exchange took longer than allowed."""
    RESET = 9
    """The upstream closed or reset the connection before its response head was complete."""
    STREAM_TRUNCATED = 10
    """The response head was passed on and the body ended before its end."""
    STREAM_ERROR = 11
    """The response body broke the rules of its framing, or told of an error inside a stream."""
    INVALID_RESPONSE = 12
    """The response head could not be accepted."""
    SHED = 13
    """The proxy itself refused the request to protect the upstream: a limit was reached."""
    CLIENT_ABORT = 14
    """The client went away first: neither a success nor a failure."""
    OVERRIDE = 15
    """The client named the variant itself: answered, and kept out of every statistic."""


# A literal, so that the cell numbers made from it are constants to a compiler.
OUTCOMES: Final = 16
assert len(Outcome) == OUTCOMES

# Outcomes that the hot path names, as plain numbers: a compiler puts those in place.
OK: Final = 0
UPSTREAM_5XX: Final = 3
CONNECT_FAILED: Final = 4
TIMEOUT_CONNECT: Final = 5
TIMEOUT_TOTAL: Final = 8
RESET: Final = 9
STREAM_TRUNCATED: Final = 10
STREAM_ERROR: Final = 11
INVALID_RESPONSE: Final = 12
SHED: Final = 13
CLIENT_ABORT: Final = 14
OVERRIDE: Final = 15
assert (OK, UPSTREAM_5XX) == (Outcome.OK, Outcome.UPSTREAM_5XX)
assert (CONNECT_FAILED, TIMEOUT_CONNECT) == (Outcome.CONNECT_FAILED, Outcome.TIMEOUT_CONNECT)
assert (TIMEOUT_TOTAL, RESET) == (Outcome.TIMEOUT_TOTAL, Outcome.RESET)
assert (STREAM_TRUNCATED, STREAM_ERROR) == (Outcome.STREAM_TRUNCATED, Outcome.STREAM_ERROR)
assert (INVALID_RESPONSE, SHED) == (Outcome.INVALID_RESPONSE, Outcome.SHED)
assert (CLIENT_ABORT, OVERRIDE) == (Outcome.CLIENT_ABORT, Outcome.OVERRIDE)

OUTCOME_NAMES: Final[tuple[str, ...]] = tuple(outcome.name.lower() for outcome in Outcome)
"""The names as configuration, metrics and the API write them, by number."""

NEUTRAL: Final[frozenset[Outcome]] = frozenset({Outcome.CLIENT_ABORT, Outcome.OVERRIDE})
"""Never a failure, however a route is configured."""

DEFAULT_FAILURES: Final[frozenset[Outcome]] = frozenset(
    {
        Outcome.UPSTREAM_5XX,
        Outcome.CONNECT_FAILED,
        Outcome.TIMEOUT_CONNECT,
        Outcome.TIMEOUT_FIRST_BYTE,
        Outcome.TIMEOUT_IDLE,
        Outcome.TIMEOUT_TOTAL,
        Outcome.RESET,
        Outcome.STREAM_TRUNCATED,
        Outcome.STREAM_ERROR,
        Outcome.INVALID_RESPONSE,
    }
)
"""What counts as a failure on a route that does not say otherwise."""


def parse_outcome(name: str) -> Outcome:
    """Return the outcome called `name`; ValueError lists the known names."""
    try:
        return Outcome[name.upper()]
    except KeyError:
        raise ValueError(f"unknown outcome {name!r}; known are {', '.join(OUTCOME_NAMES)}") from None


def outcome_of_status(status: int) -> Outcome:
    """Return the outcome of a complete response with this status code."""
    if status < 400:
        return Outcome.OK
    if status == 429:
        return Outcome.UPSTREAM_429
    return Outcome.UPSTREAM_4XX if status < 500 else Outcome.UPSTREAM_5XX
