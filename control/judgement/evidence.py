"""What a rollout's analysis remembers: what it has taken in of every stage, and where each bet stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from control.judgement.keys import NO_KEYS, Keys
from control.judgement.purse import NO_WEALTH, Purse
from control.judgement.rows import NO_PAIRS, NO_TALLIES, Pairs, Tallies
from control.stats.events import Tally
from control.stats.overdispersion import NO_PHI, Phi
from control.stats.wealth import Wealth, pack, unpack
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES, Outcome

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# A rollout has at most a hundred steps; stages beyond this can only come from an error elsewhere.
STAGES_MAX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmCounts:
    """What one arm has counted since its stage began: cumulative, summed over nodes and boots.

    `total` and `first_byte` are latency histograms of successes, shape (361,). `groups` is for routes with
    sticky keys: by group of keys, hashed independently of the routing, requests, failures, and answers by how
    slow they were, shape (8, 64). `metrics` are the route's custom metrics, shape (4, 128), as
    `proxy.metric_counts` lays them out; `first_token` and `token_time` are histograms of its streams. All of
    them may be left out: what is None was not counted, which is not the same as zero.
    """

    started: int = 0
    finished: int = 0
    failed: int = 0
    outcomes: tuple[int, ...] = (0,) * OUTCOMES
    aside: tuple[int, ...] = ()
    """Requests that failed at an ejected endpoint, by outcome; they are none of the failed."""
    total: Counts = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))
    first_byte: Counts = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))
    diverted: int = 0
    lost: int = 0
    retries: int = 0
    groups: Counts | None = None
    metrics: Counts | None = None
    first_token: Counts | None = None
    token_time: Counts | None = None
    pairs: tuple[int, int] | None = None
    """Compared answers of a shadow, and those that disagreed: of the canary's, or in control's place of the
    primary's own version. Unlike the rest, these go on from stage to stage."""

    @property
    def exposed(self) -> int:
        """Requests that can fail or not: client aborts, overrides, requests of a killed worker and those set
        aside cannot."""
        return self.started - self._neutral - self.lost

    @property
    def answered(self) -> int:
        """Those of them that have ended."""
        return self.finished - self._neutral

    @property
    def in_flight(self) -> int:
        """Requests that have not ended yet."""
        return max(0, self.started - self.finished - self.lost)

    @property
    def _neutral(self) -> int:
        return self.outcomes[Outcome.CLIENT_ABORT] + self.outcomes[Outcome.OVERRIDE] + sum(self.aside)

    @property
    def judged(self) -> tuple[int, ...]:
        """Outcomes without those set aside."""
        if not self.aside:
            return self.outcomes
        return tuple(count - left for count, left in zip(self.outcomes, self.aside, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The plain numbers of both arms as they were last reported, canary first."""

    started: tuple[int, int] = (0, 0)
    finished: tuple[int, int] = (0, 0)
    failed: tuple[int, int] = (0, 0)
    answered: tuple[int, int] = (0, 0)
    in_flight: tuple[int, int] = (0, 0)
    diverted: int = 0

    @classmethod
    def of(cls, canary: ArmCounts, control: ArmCounts) -> Self:
        """The numbers of two arms."""
        return cls(
            started=(canary.started, control.started),
            finished=(canary.finished, control.finished),
            failed=(canary.failed, control.failed),
            answered=(canary.answered, control.answered),
            in_flight=(canary.in_flight, control.in_flight),
            diverted=canary.diverted,
        )

    def precedes(self, later: Raw) -> bool:
        """Whether nothing that can only rise is lower in `later`."""
        return (
            self.started[0] <= later.started[0]
            and self.started[1] <= later.started[1]
            and self.finished[0] <= later.finished[0]
            and self.finished[1] <= later.finished[1]
            and self.failed[0] <= later.failed[0]
            and self.failed[1] <= later.failed[1]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLedger:
    """What has been taken in of one stage. `n` and `x` are cumulative, canary first."""

    stage: str
    n: tuple[int, int] = (0, 0)
    """Requests in closed blocks."""
    x: Pairs = field(default_factory=lambda: NO_PAIRS)
    """Requests with an event, by the event's key."""
    own: Pairs = field(default_factory=lambda: NO_PAIRS)
    """Requests asked about an event, by its key, where these are others than in `n`."""
    keys: tuple[str, ...] | None = None
    """The events that are counted, by key; what another plan asks beside them begins where its counts are.
    None = as the plan in force has them."""
    thresholds: Mapping[str, int] = field(default_factory=dict)
    """Of metrics, as they were when the stage ended: values that come later are judged by these."""
    answered: tuple[int, int] = (0, 0)
    """Requests that had ended when the last block was closed."""
    opened_at: float = 0.0
    """When the open block began."""
    begun_at: float = 0.0
    """When the stage was first looked at."""
    raw: Raw = field(default_factory=Raw)
    units: tuple[int, int] = (0, 0)
    """Requests that the sample ratio is judged on: none that came while requests were diverted."""
    keyed: tuple[int, int] = (0, 0)
    """Requests assigned by a key that have been taken in, for those units under sticky routing."""

    def with_counts(self, x: Pairs, own: Pairs) -> StageLedger:
        """The ledger with other counts of events."""
        return replace(self, x=x, own=own)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "stage": self.stage,
            "n": list(self.n),
            "answered": list(self.answered),
            "x": {key: list(value) for key, value in self.x.items()},
            "own": {key: list(value) for key, value in self.own.items()},
            "keys": None if self.keys is None else list(self.keys),
            "thresholds": dict(self.thresholds),
            "opened_at": self.opened_at,
            "begun_at": self.begun_at,
            "raw": [
                *(*self.raw.started, *self.raw.finished, *self.raw.failed),
                *(*self.raw.answered, *self.raw.in_flight, self.raw.diverted),
            ],
            "units": list(self.units),
            "keyed": list(self.keyed),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        raw = data["raw"]
        return cls(
            stage=data["stage"],
            n=_pair(data["n"]),
            answered=_pair(data["answered"]),
            x=Pairs.of({key: _pair(value) for key, value in data["x"].items()}),
            own=Pairs.of({key: _pair(value) for key, value in data.get("own", {}).items()}),
            keys=None if data.get("keys") is None else tuple(data["keys"]),
            thresholds=dict(data.get("thresholds", {})),
            opened_at=float(data["opened_at"]),
            begun_at=float(data.get("begun_at", 0.0)),
            raw=Raw(
                started=_pair(raw[0:2]),
                finished=_pair(raw[2:4]),
                failed=_pair(raw[4:6]),
                answered=_pair(raw[6:8]),
                in_flight=_pair(raw[8:10]),
                diverted=int(raw[10]),
            ),
            units=_pair(data["units"]),
            keyed=_pair(data.get("keyed", (0, 0))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Where the slices of time, late starts and threshold refreshes stand; seconds on the caller's scale."""

    slice_at: float | None = None
    """When the open slice began."""
    start_at: float | None = None
    """When the last start was made."""
    starts: int = 0
    fresh: bool = False
    """Whether a block came in since the last start."""
    refresh_at: float | None = None
    """When the latency thresholds were last taken."""
    shown_at: float | None = None
    """When the quantiles that are shown were last taken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Baseline:
    """Control's rate when it got its last requests, and the watch over the canary since."""

    limit: float
    """Control's rate with the margin added."""
    log_r: Floats
    """State of `control.stats.sr.Watch`."""
    n: int = 0
    x: int = 0
    """The canary's requests and failures since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The running state of a rollout's analysis: of bounded size, and enough to go on after a restart."""

    stages: tuple[StageLedger, ...] = ()
    """Oldest first; the last one is current."""
    wealth: Purse = field(default_factory=lambda: NO_WEALTH)
    """By the key of the process."""
    tallies: Tallies = field(default_factory=lambda: NO_TALLIES)
    """By the key of the event, over the whole rollout."""
    thresholds: Mapping[str, int] = field(default_factory=dict)
    """Histogram bucket by "source:quantile"."""
    schedule: Schedule = field(default_factory=Schedule)
    keys: Keys = NO_KEYS
    phi: Phi = NO_PHI
    """How much more keys differ than requests would: all that was won is divided by it where it is read."""
    sample_ratio: tuple[float | None, float, float] = (None, 0.0, 0.0)
    """The share set in the current stage, log e of that stage, and the sum of earlier stages."""
    log_peak: float = 0.0
    """The largest combined log e so far."""
    baseline: Baseline | None = None
    """What the canary is held against once it has all requests."""
    recent: tuple[float, float] = (0.0, 0.0)
    """Control's requests and failures, each fading with time."""
    recent_at: float = 0.0
    first_failure_at: float | None = None
    """When the first canary failure was seen."""
    diverted_at: float | None = None
    """When a canary request was last seen diverted."""
    latency: Mapping[str, Any] = field(default_factory=dict)
    """Quantiles of both arms in the current stage, ready to be shown."""
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How requests of the current stage have ended, by arm."""
    metrics: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """By metric: how many values, their sum and sum of squares in the current stage, canary first."""

    @classmethod
    def empty(cls) -> Self:
        """No evidence yet."""
        return cls()

    @property
    def current(self) -> StageLedger | None:
        """The ledger of the current stage."""
        return self.stages[-1] if self.stages else None

    def tally(self, key: str) -> Tally:
        """The tally of an event; empty when nothing was counted."""
        return self.tallies.get(key, _NO_TALLY)

    def with_block(
        self, stages: tuple[StageLedger, ...], wealth: Purse, tallies: Tallies, **noted: Any
    ) -> Evidence:
        """The evidence after a block, and *noted* fields with it."""
        schedule = self.schedule
        if wealth is not self.wealth and not schedule.fresh:
            schedule = replace(schedule, fresh=True)
        return replace(self, stages=stages, wealth=wealth, tallies=tallies, schedule=schedule, **noted)

    def with_stage(self, ledger: StageLedger) -> Evidence:
        """The evidence with a stage's ledger replaced, or begun."""
        return replace(self, stages=self.with_ledger(ledger))

    def with_ledger(self, ledger: StageLedger) -> tuple[StageLedger, ...]:
        """The stages with a ledger replaced, or begun."""
        stages = self.stages
        if stages and stages[-1].stage == ledger.stage:
            return (*stages[:-1], ledger)
        known = [i for i, other in enumerate(stages) if other.stage == ledger.stage]
        if not known:
            return (*stages, ledger)[-STAGES_MAX:]
        return (*stages[: known[0]], ledger, *stages[known[0] + 1 :])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; floats round-trip exactly."""
        plan = self.schedule
        return {
            "stages": [ledger.to_json() for ledger in self.stages],
            "wealth": self.wealth.to_json(),
            "tallies": self.tallies.to_json(),
            "thresholds": dict(self.thresholds),
            "schedule": [plan.slice_at, plan.start_at, plan.starts, plan.fresh, plan.refresh_at],
            "keys": None if self.keys is NO_KEYS else self.keys.to_json(),
            "phi": list(self.phi),
            "sample_ratio": list(self.sample_ratio),
            "log_peak": self.log_peak,
            "baseline": None
            if self.baseline is None
            else [self.baseline.limit, pack(self.baseline.log_r), self.baseline.n, self.baseline.x],
            "recent": [*self.recent, self.recent_at],
            "first_failure_at": self.first_failure_at,
            "diverted_at": self.diverted_at,
            "latency": dict(self.latency),
            "outcomes": dict(self.outcomes),
            "metrics": {name: list(sums) for name, sums in self.metrics.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; of an empty object, no evidence."""
        if not data:
            return cls()
        slice_at, start_at, starts, fresh, refresh_at = data["schedule"]
        share, log_e, earlier = data["sample_ratio"]
        recent_n, recent_x, recent_at = data["recent"]
        baseline = data["baseline"]
        return cls(
            stages=tuple(StageLedger.from_json(ledger) for ledger in data["stages"]),
            wealth=Purse.of({key: Wealth.from_json(wealth) for key, wealth in data["wealth"].items()}),
            tallies=Tallies.of({key: Tally.from_json(tally) for key, tally in data["tallies"].items()}),
            thresholds=dict(data["thresholds"]),
            schedule=Schedule(
                slice_at=slice_at, start_at=start_at, starts=starts, fresh=fresh, refresh_at=refresh_at
            ),
            keys=Keys.from_json(keys) if (keys := data.get("keys")) else NO_KEYS,
            phi=tuple(data["phi"]),
            sample_ratio=(share, log_e, earlier),
            log_peak=data["log_peak"],
            baseline=None
            if baseline is None
            else Baseline(limit=baseline[0], log_r=unpack(baseline[1]), n=baseline[2], x=baseline[3]),
            recent=(recent_n, recent_x),
            recent_at=recent_at,
            first_failure_at=data["first_failure_at"],
            diverted_at=data["diverted_at"],
            latency=data["latency"],
            outcomes=data.get("outcomes", {}),
            metrics=data.get("metrics", {}),
        )


_NO_TALLY: Final = Tally()


def _pair(values: Any) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)
