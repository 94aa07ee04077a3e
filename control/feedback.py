"""Outcomes that are reported later: each is attributed by its signed request id, checked, and counted once.

Nothing is kept of a request. The id names the arm and the time; the arm's counts of the metric grow, as those
of a worker would, and reach guardrails the same way. What comes late goes to the arm and stage that served
it.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from config.metrics import Metric
from control.controller import Controller
from control.counts import METRICS_CELLS, ArmKey, Counts, make_counts
from control.reports import Report, ReportedArm
from control.seen import AGE_SECONDS, Seen
from proxy.counters import METRIC_CELLS
from proxy.metric_counts import MetricScale, count_value
from proxy.outcomes import OUTCOMES
from proxy.tokens import arm_id, read_token

NODE: Final = "feedback reports"
"""What the counts are filed under; no host has this name."""
# Tokens from machines whose clocks are ahead.
_AHEAD_SECONDS: Final = 300.0
ITEMS_MAX: Final = 1000
"""Items in one request."""
ITEMS_PER_SECOND: Final = 5000.0
_BURST: Final = 20_000.0
# Tokens of arms that are not known make the index be built anew, and no more often than this.
_INDEX_SECONDS: Final = 1.0


class Fate(StrEnum):
    """What became of one item."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """This request has had a value of this metric before."""
    FOREIGN = "not_signed_here"
    """The id was not made by this Headgate, or its key is gone."""
    TOO_OLD = "too_old"
    """The request was more than three and a half days ago, or its arm is not counted any more."""
    UNKNOWN_METRIC = "unknown_metric"
    """The route has no metric of this name that is fed by feedback."""
    NO_NUMBER = "no_number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One value for one request, as it was sent."""

    request_id: str
    metric: str
    value: float


class FeedbackBook:
    """Takes items; `counted` says how many met which fate since the process began, `refused` how many came
    too fast."""

    def __init__(self, controller: Controller, key: bytes, seen: Seen) -> None:
        self._controller = controller
        self._key = key
        self._seen = seen
        self._boot = secrets.token_hex(8)
        self._sequence = 0
        self._arms: dict[bytes, ArmKey] = {}
        self._indexed_at = 0.0
        self._cells: dict[ArmKey, memoryview] = {}
        self._left = _BURST
        self._refilled_at = controller.clock.steady()
        self.counted: Counter[Fate] = Counter()
        self.refused = 0

    async def start(self) -> None:
        """Close the books of former processes: what they counted stays, and is added to no more."""
        collector = self._controller.ledger.collector
        for node, boot in [known for known in collector.heard() if known[0] == NODE]:
            await self._controller.take(
                Report(node=node, boot=boot, sequence=0, revision=0, arms=(), final=True)
            )

    def admit(self, items: int) -> bool:
        """Whether so many items may come now; at most 5 000 a second in the long run."""
        now = self._controller.clock.steady()
        self._left = min(_BURST, self._left + (now - self._refilled_at) * ITEMS_PER_SECOND)
        self._refilled_at = now
        if items > self._left:
            self.refused += items
            return False
        self._left -= items
        return True

    async def take(self, items: Sequence[Item]) -> list[Fate]:
        """Count the items that can be attributed; the fate of each, in their order."""
        changed: set[ArmKey] = set()
        fates = [self._one(item, changed) for item in items]
        self.counted.update(fates)
        if changed:
            self._sequence += 1
            await self._controller.take(
                Report(
                    node=NODE,
                    boot=self._boot,
                    sequence=self._sequence,
                    revision=0,
                    arms=tuple(
                        ReportedArm(key=key, counts=_counts(self._cells[key]), diverted_now=False)
                        for key in sorted(changed)
                    ),
                    final=False,
                )
            )
        return fates

    def _one(self, item: Item, changed: set[ArmKey]) -> Fate:
        token = read_token(self._key, item.request_id)
        if token is None:
            return Fate.FOREIGN
        now = self._controller.clock.wall()
        if not -_AHEAD_SECONDS <= now - token.at <= AGE_SECONDS / 2:
            return Fate.TOO_OLD
        arm = self._arm(token.arm)
        if arm is None:
            return Fate.TOO_OLD
        found = self._metric(arm.route, item.metric)
        if found is None:
            return Fate.UNKNOWN_METRIC
        if not math.isfinite(item.value):
            return Fate.NO_NUMBER
        place, metric = found
        entry = hashlib.blake2b(token.mac + item.metric.encode(), digest_size=12).digest()
        if not self._seen.add(entry, now):
            return Fate.DUPLICATE
        cells = self._cells.get(arm)
        if cells is None:
            cells = self._cells[arm] = memoryview(bytearray(8 * METRICS_CELLS)).cast("Q")
        scale = MetricScale(*metric.range, log=metric.scale == "log")
        count_value(cells, place * METRIC_CELLS, scale, item.value)
        changed.add(arm)
        return Fate.ACCEPTED

    def _arm(self, wanted: bytes) -> ArmKey | None:
        """The arm behind the bytes of a token, among those that are counted."""
        arm = self._arms.get(wanted)
        if arm is None:
            totals = self._controller.ledger.collector.totals()
            now = self._controller.clock.steady()
            if len(totals) != len(self._arms) or now - self._indexed_at > _INDEX_SECONDS:
                self._indexed_at = now
                # As many as the collector keeps, which is bounded.
                self._arms = {arm_id(*key): key for key in totals}
                self._cells = {key: cells for key, cells in self._cells.items() if key in totals}
                arm = self._arms.get(wanted)
        return arm

    def _metric(self, route: str, name: str) -> tuple[int, Metric] | None:
        active = self._controller.ledger.active
        if active is None:
            return None
        for known in active.config.routes:
            if known.name == route:
                for place, metric in enumerate(known.metrics):
                    if metric.name == name and metric.source == "feedback":
                        return place, metric
        return None


def _counts(metrics: memoryview) -> Counts:
    filled = [(place, int(count)) for place, count in enumerate(metrics) if count]
    return make_counts({}, [0] * OUTCOMES, [], [], metrics=filled)
