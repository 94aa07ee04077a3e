"""One event as it is stored, and as it is shown."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from control.audit.personal import Personal

SHOWN_BESIDE: Final = frozenset(
    {"actor", "address", "user_agent", "session", "personal", "salts", "leaf_hash", "proof"}
)
"""Keys of a shown event that are not part of the stored bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One event as it was written. `body` is the canonical JSON; `leaf_hash` is over exactly these bytes."""

    sequence: int
    id: str
    body: bytes
    leaf_hash: bytes
    personal: Personal

    def to_json(self) -> dict[str, Any]:
        """The event with its personal part; what was erased is null."""
        event: dict[str, Any] = orjson.loads(self.body)
        if "commitments" not in event:
            # Written before personal fields were kept apart: they are in the body and cannot be erased.
            return event | {"leaf_hash": self.leaf_hash.hex()}
        part = self.personal
        origin = {} if part.origin is None else orjson.loads(part.origin)
        salts = {"actor": part.actor_salt, "origin": part.origin_salt}
        return event | {
            "actor": part.actor,
            "address": origin.get("address"),
            "user_agent": origin.get("user_agent"),
            "session": origin.get("session"),
            "personal": origin.get("personal"),
            "salts": {name: None if salt is None else salt.hex() for name, salt in salts.items()},
            "leaf_hash": self.leaf_hash.hex(),
        }
