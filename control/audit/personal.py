"""What the log says about a person: kept apart, under a salted hash, so that it can be erased."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from control.audit.canonical import canonical
from control.audit.events import Origin

SALT_BYTES: Final = 32


def commitment(salt: bytes, value: bytes) -> str:
    """What the log commits to: the SHA-256, in hexadecimal, of 32 random bytes and the value."""
    return hashlib.sha256(salt + value).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """Who, and from where. A part that was erased is None, its salt with it.

    Without the salt the hash in the log does not even tell whether a guess is right.
    """

    actor: str | None = None
    actor_salt: bytes | None = None
    origin: str | None = None
    """Canonical JSON of address, user agent, session and what else the event says about a person."""
    origin_salt: bytes | None = None

    @classmethod
    def of(cls, origin: Origin, personal: Mapping[str, Any]) -> "Personal":
        """The personal part of a new event, with new salts."""
        fields = {
            "address": origin.address,
            "user_agent": origin.user_agent,
            "session": origin.session,
            "personal": dict(personal),
        }
        salts = os.urandom(2 * SALT_BYTES)
        return cls(
            actor=origin.actor,
            actor_salt=salts[:SALT_BYTES],
            origin=canonical(fields).decode(),
            origin_salt=salts[SALT_BYTES:],
        )

    def commitments(self) -> dict[str, str]:
        """By part, what a log commits to; parts that were erased are left out."""
        found = {}
        if self.actor is not None and self.actor_salt is not None:
            found["actor"] = commitment(self.actor_salt, self.actor.encode())
        if self.origin is not None and self.origin_salt is not None:
            found["origin"] = commitment(self.origin_salt, self.origin.encode())
        return found
