"""What was counted during the last minute, from samples of the cumulative counts."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from control.counts import ArmKey, Counts

WINDOW_SECONDS: Final = 60.0
# Thirteen samples a minute: the window is never more than this much too long.
_SAMPLE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The counts of a stretch of time, by arm; arms without a request in it are left out."""

    seconds: float
    counts: Mapping[ArmKey, Counts]


class Window:
    """Keeps samples; they share the vectors of arms that did not change."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[ArmKey, Counts]]] = deque()

    def sample(self, now: float, totals: Mapping[ArmKey, Counts]) -> None:
        """Take a sample if the last one is old enough; *now* in steady seconds."""
        if self._samples and now - self._samples[-1][0] < _SAMPLE_SECONDS:
            return
        self._samples.append((now, totals))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_SECONDS:
            self._samples.popleft()

    def recent(self, now: float, totals: Mapping[ArmKey, Counts]) -> Recent:
        """What came in between the last sample that is a minute old, or the first one, and *now*."""
        if not self._samples:
            return Recent(seconds=0.0, counts={})
        base = self._samples[0]
        for sample in self._samples:
            if now - sample[0] >= WINDOW_SECONDS:
                base = sample
        since, before = base
        counts = {}
        for key, total in totals.items():
            earlier = before.get(key)
            if earlier is total:
                continue
            delta = total if earlier is None else total.since(earlier)
            if delta.started or delta.finished:
                counts[key] = delta
        return Recent(seconds=now - since, counts=counts)
