"""Browsers that are signed in on the admin address: who they are, by an id that only their cookie holds."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.auth import Principal

# A working day; whoever needs longer signs in again.
SESSION_SECONDS: Final = 8 * 3600.0
# Browsers of one holder. Each has places of its own, so that nobody can push out somebody else.
SESSIONS_PER_ACTOR: Final = 16
_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser that is signed in; `expires` is on the table's clock."""

    principal: Principal
    expires: float


class Sessions:
    """At most `SESSIONS_PER_ACTOR` for each holder of a token; they end with the agent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.dropped = 0
        self._clock = clock
        # By the digest of the id, oldest first: what is in memory does not open anything.
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        now = self._clock()
        return sum(session.expires > now for session in self._sessions.values())

    def begin(self, principal: Principal) -> str:
        """Sign `principal` in; returns the id, in characters that a cookie takes.

        The oldest session of the same holder ends when it would have too many.
        """
        now = self._clock()
        self._sessions = {key: session for key, session in self._sessions.items() if session.expires > now}
        own = [key for key, session in self._sessions.items() if session.principal.actor == principal.actor]
        for key in own[: max(0, len(own) + 1 - SESSIONS_PER_ACTOR)]:
            del self._sessions[key]
            self.dropped += 1
        name = secrets.token_urlsafe(_ID_BYTES)
        self._sessions[_digest(name)] = Session(principal=principal, expires=now + SESSION_SECONDS)
        return name

    def find(self, name: str) -> Principal | None:
        """Return who is signed in under this id; None when it is unknown or has expired."""
        session = self._sessions.get(_digest(name))
        return None if session is None or session.expires <= self._clock() else session.principal

    def end(self, name: str) -> Principal | None:
        """Sign out; returns who was signed in."""
        session = self._sessions.pop(_digest(name), None)
        return None if session is None else session.principal


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
