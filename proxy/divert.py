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

from proxy import counters
from proxy.timers import ticks

if TYPE_CHECKING:
    from proxy.table import DivertSpec
    from proxy.worker import Worker

# Scores are integers in a counter cell; one failure is this many units.
UNIT: Final = 1000


class DivertGuard:
    """Watches the arms of one route in this worker, and reads what its siblings saw."""

    __slots__ = (
        "arm_base",
        "fallback_base",
        "gain",
        "limit",
        "next_probe",
        "probe_ticks",
        "worker",
    )

    def __init__(self, worker: Worker, spec: DivertSpec, arm_base: int, fallback_base: int) -> None:
        self.worker = worker
        self.arm_base = arm_base
        self.fallback_base = fallback_base
        self.limit = spec.failures * UNIT
        self.gain = max(1, self.limit // max(1, spec.recover))
        self.probe_ticks = max(1, ticks(spec.probe_interval))
        self.next_probe = 0

    def note(self, base: int, *, failed: bool) -> None:
        """Take one finished request of an arm into its score."""
        cells = self.worker.cells
        cell = base + counters.DIVERT_SCORE
        score = cells[cell]
        if failed:
            # Capped, so that an hour of failures is recovered from as quickly as a minute of them.
            cells[cell] = min(score + UNIT, self.limit)
        elif score:
            cells[cell] = max(score - self.gain, 0)

    def score(self, base: int) -> int:
        """Return the score of an arm over all workers of this machine."""
        total = 0
        for cells in self.worker.pages:
            total += cells[base + counters.DIVERT_SCORE]
        return total

    def diverts(self) -> bool:
        """Whether the guarded arm's next request has to go to the fallback."""
        cells = self.worker.cells
        flag = self.arm_base + counters.DIVERTED_FLAG
        if self.score(self.arm_base) < self.limit:
            if cells[flag]:
                cells[flag] = 0
            return False
        # Shared fate: when the fallback fails as badly, moving the requests there helps nobody.
        if self.score(self.fallback_base) >= self.limit:
            return False
        if not cells[flag]:
            cells[flag] = 1
            self.next_probe = self.worker.wheel.now + self.probe_ticks
        elif self.worker.wheel.now >= self.next_probe:
            self.next_probe = self.worker.wheel.now + self.probe_ticks
            cells[self.arm_base + counters.PROBES] += 1
            return False
        cells[self.arm_base + counters.DIVERTED] += 1
        return True
