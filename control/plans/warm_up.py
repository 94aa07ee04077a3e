"""The beginning of a step, while caches fill and code is compiled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """The beginning of each step that is not judged."""

    requests: int = 0
    """Until the canary has answered so many requests ..."""
    seconds: float = 0.0
    """... and for so many seconds."""

    def covers(self, requests: int, seconds: float) -> bool:
        """Whether a step that has answered so many, for so long, is still warming up."""
        return requests < self.requests or seconds < self.seconds
