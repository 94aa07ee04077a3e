"""Tells a worker whose loop stands still from one that has nothing to do."""

from typing import Final

# Beats come several times a second; a loop that stands still this long is not coming back.
HUNG_SECONDS: Final = 30


class BeatWatch:
    """Looks at each worker's heartbeat once a second.

    It counts its own looks instead of comparing clocks: when the whole machine or this process stood still,
    no look was taken, and no worker is blamed for it.
    """

    def __init__(self, looks_max: int = HUNG_SECONDS) -> None:
        self._looks_max = looks_max
        self._seen: dict[int, tuple[int, int]] = {}

    def look(self, index: int, beat: int) -> bool:
        """Take a worker's heartbeat; return True once when it has not changed for too many looks."""
        last, still = self._seen.get(index, (-1, 0))
        still = still + 1 if beat == last else 0
        hung = still >= self._looks_max
        self._seen[index] = (beat, 0 if hung else still)
        return hung

    def forget(self, index: int) -> None:
        """Begin anew with a worker: another process has taken its place."""
        self._seen.pop(index, None)
