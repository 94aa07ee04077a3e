"""Tests of the table of browsers that are signed in."""

import pytest

from proxy.auth import Principal, Role
from proxy.sessions import SESSION_SECONDS, SESSIONS_PER_ACTOR, Sessions

VERA = Principal(actor="vera", role=Role.VIEWER)
ADA = Principal(actor="ada", role=Role.ADMIN)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    """An empty table."""
    return Sessions(clock)


def test_an_id_says_who_it_is_until_it_is_signed_out(sessions: Sessions) -> None:
    """Ids are of no use after the end, and never two the same."""
    one, other = sessions.begin(VERA), sessions.begin(ADA)

    assert one != other
    assert len(one) >= 43
    assert (sessions.find(one), sessions.find(other)) == (VERA, ADA)
    assert sessions.end(one) == VERA
    assert sessions.end(one) is None
    assert (sessions.find(one), sessions.find(other)) == (None, ADA)


def test_a_session_expires(sessions: Sessions, clock: Clock) -> None:
    """Use does not make it longer."""
    name = sessions.begin(VERA)

    clock.now += SESSION_SECONDS - 1
    assert sessions.find(name) == VERA
    assert len(sessions) == 1
    clock.now += 1
    assert sessions.find(name) is None
    assert len(sessions) == 0


def test_nobody_pushes_out_somebody_else(sessions: Sessions, clock: Clock) -> None:
    """A holder's oldest session makes room for the newest, and what is dropped is counted."""
    ada = sessions.begin(ADA)
    names = [sessions.begin(VERA) for _ in range(SESSIONS_PER_ACTOR + 2)]

    assert [sessions.find(name) for name in names] == [None] * 2 + [VERA] * SESSIONS_PER_ACTOR
    assert sessions.find(ada) == ADA
    assert sessions.dropped == 2
    clock.now += SESSION_SECONDS
    sessions.begin(VERA)
    assert sessions.dropped == 2
    assert len(sessions._sessions) == 1


@pytest.mark.parametrize("name", ["", "a", "ä\udcff", "x" * 10_000])
def test_what_was_never_given_out_is_nobody(sessions: Sessions, name: str) -> None:
    """Whatever stands in a cookie."""
    sessions.begin(VERA)

    assert sessions.find(name) is None
    assert sessions.end(name) is None


def test_the_ids_are_not_in_memory(sessions: Sessions) -> None:
    """Only their digests."""
    name = sessions.begin(VERA)

    assert name not in repr(sessions._sessions)
