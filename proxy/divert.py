"""The divert: a grossly failing arm's next requests go to the fallback at once, and come back as it recovers.

Each worker keeps one score per guarded arm in its counter page: a failure adds one, a success takes away
``failures / recover``, never below zero. The arm is diverted while the scores of all workers together reach
``failures``. So a run of failures diverts, a failure rate below two thirds (with the defaults) drifts back to
zero, and nothing here is a verdict on the release: that is the control loop's, and terminal.

While diverted, each worker lets one request per ``probe_interval`` through. Their successes lower the score
again, their failures feed the evidence that condemns a release for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.counters import DIVERT_SCORE, DIVERTED, PROBES
from proxy.timers import ticks

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.slot_counts import SlotCounts
    from proxy.table import DivertSpec

# Scores are integers in a counter cell; one failure is this many units.
UNIT: Final = 1000


class DivertGuard:
    """Watches the arms of one route in this worker, and reads what its siblings saw."""

    __slots__ = (
        "arm",
        "fallback",
        "gain",
        "limit",
        "next_probe",
        "probe_ticks",
        "worker",
    )

    def __init__(
        self, worker: WorkerContext, spec: DivertSpec, arm: SlotCounts, fallback: SlotCounts
    ) -> None:
        self.worker = worker
        self.arm = arm
        self.fallback = fallback
        self.limit = spec.failures * UNIT
        self.gain = max(1, self.limit // max(1, spec.recover))
        self.probe_ticks = max(1, ticks(spec.probe_interval))
        self.next_probe = 0

    def note(self, counts: SlotCounts, *, failed: bool) -> None:
        """Take one finished request of an arm into its score."""
        score = counts.score
        if failed:
            # Capped, so that an hour of failures is recovered from as quickly as a minute of them.
            counts.rate(min(score + UNIT, self.limit))
        elif score:
            counts.rate(max(score - self.gain, 0))

    def score(self, counts: SlotCounts) -> int:
        """Return the score of an arm over all workers of this machine."""
        total = counts.score
        pages = self.worker.pages
        for index in range(1, len(pages)):
            total += pages[index][counts.base + DIVERT_SCORE]
        return total

    def diverts(self) -> bool:
        """Whether the guarded arm's next request has to go to the fallback."""
        arm = self.arm
        if self.score(arm) < self.limit:
            if arm.diverted:
                arm.divert(0)
            return False
        # Shared fate: when the fallback fails as badly, moving the requests there helps nobody.
        if self.score(self.fallback) >= self.limit:
            return False
        cells = self.worker.cells
        now = self.worker.wheel.now
        if not arm.diverted:
            arm.divert(1)
            self.next_probe = now + self.probe_ticks
        elif now >= self.next_probe:
            self.next_probe = now + self.probe_ticks
            cells[arm.base + PROBES] += 1
            return False
        cells[arm.base + DIVERTED] += 1
        return True
