"""The two times a decision needs: the wall's, for people, and a steady one, for how long something lasted."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the control loop asks for the time."""

    def wall(self) -> float:
        """Unix seconds, as this machine believes them to be now."""

    def steady(self) -> float:
        """Seconds on the scale of `wall` that a step of the machine's clock does not move."""


class SteadyClock:
    """Starts at the wall's time and advances with the monotonic clock.

    A step that lasts ten minutes must not end because somebody corrected the date. *floor* is the latest
    steady time a former process has written down: time never runs backwards over a restart.
    """

    def __init__(self, floor: float = 0.0) -> None:
        self._offset = max(time.time(), floor) - time.monotonic()

    def wall(self) -> float:
        return time.time()

    def steady(self) -> float:
        return self._offset + time.monotonic()
