"""Waiting for other processes that hold the database: what passes by itself, and how long it may take."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from typing import Final

from sqlalchemy.exc import DBAPIError

# Writers of several processes wait for each other; what takes longer than this is stuck.
PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.02
_PAUSE_SECONDS_MAX: Final = 0.5
# PostgreSQL's serialization_failure and deadlock_detected.
_TRANSIENT: Final = frozenset({"40001", "40P01"})
# lock_not_available: its own patience, which is as long as ours, is over.
_ENDED: Final = "55P03"


class Patience:
    """Pauses between attempts, random so that those who wait do not come back together."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self.seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._pause = _PAUSE_SECONDS

    def renew(self) -> None:
        """Begin to count anew: what is waited for goes on."""
        self._deadline = time.monotonic() + self.seconds

    @property
    def over(self) -> bool:
        """Whether *seconds* have passed."""
        return time.monotonic() > self._deadline

    async def pause(self) -> bool:
        """Wait for the next attempt; False at once when patience is over."""
        if self.over:
            return False
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))
        self._pause = min(_PAUSE_SECONDS_MAX, self._pause * 2)
        return True


def passes(error: BaseException) -> bool:
    """Whether *error* only says that others were first, so that the same may succeed a little later."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.OperationalError):
        return "locked" in str(cause) or "busy" in str(cause)
    return getattr(cause, "sqlstate", None) in _TRANSIENT


def ended(error: DBAPIError) -> bool:
    """Whether *error* says that the server has waited for a lock as long as it was told to."""
    return getattr(error.orig, "sqlstate", None) == _ENDED
