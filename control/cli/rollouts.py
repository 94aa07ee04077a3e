"""What commands say about a rollout after asking for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DONE = {
    "promote": "promoted",
    "pause": "paused",
    "resume": "resumed",
    "abort": "aborted",
    "rollback": "rolled back",
    "restart": "restarted",
}


def outcome_line(verb: str, route: str, answer: Mapping[str, Any]) -> str:
    """One line: what was done and where the rollout stands now."""
    return f"{route}: {_DONE[verb]} {answer}"
