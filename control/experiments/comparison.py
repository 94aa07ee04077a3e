"""The evidence that two variants differ, either way: taken in block by block, valid at every look. Pure.

Both directions are bet on with the block e-process that judges canaries (`control.stats.mixture`): that more
of the variant's requests have an event than of control's, and that fewer have. Each gets half of the level,
so that a difference is declared wrongly with a chance of at most alpha, however often one looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from control.experiments.metric import Metric
from control.judgement.evidence import ArmCounts
from control.judgement.tallying import Counted, counted, new_threshold
from control.stats.affine import Differences, Ratios
from control.stats.events import FAILURE, Event, Tally
from control.stats.logspace import log_sum_exp_of
from control.stats.mixture import ODDS
from control.stats.overdispersion import NO_PHI, Phi, phi_at
from control.stats.sequences import difference_interval, ratio_interval
from control.stats.wealth import pack, unpack

Floats = npt.NDArray[np.float64]
Pair = tuple[int, int]

BLOCK_REQUESTS: Final = 20
BLOCK_SECONDS: Final = 10.0
REFRESH_SECONDS: Final = 60.0
"""How often thresholds are taken anew from control's earlier answers."""
_RATIOS: Final = Ratios()
_DIFFERENCES: Final = Differences()


def _zeros(size: int) -> Floats:
    return np.zeros(size)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bets:
    """What has been won on one event. Arrays hold it for every member of a grid, as logarithms."""

    x: Pair = (0, 0)
    """Requests with the event that have been taken in, the variant's first."""
    n: Pair = (0, 0)
    """Requests asked, where these are others than all that can fail."""
    worse: Floats = field(default_factory=lambda: _zeros(ODDS.size))
    better: Floats = field(default_factory=lambda: _zeros(ODDS.size))
    ratios: Floats = field(default_factory=lambda: _zeros(Ratios.size))
    differences: Floats = field(default_factory=lambda: _zeros(Differences.size))
    tally: Tally = field(default_factory=Tally)
    """What was bet on, which at the first threshold is not everything."""
    phi: float = 1.0
    """How much more keys differ than chance would have it, so far: what was won is divided by it where it is
    read (`control.stats.overdispersion`)."""

    @property
    def log_e_worse(self) -> float:
        """Logarithm of the e-value against "it has no more of them than control"."""
        return ODDS.log_e(self.worse) / self.phi

    @property
    def log_e_better(self) -> float:
        """Logarithm of the e-value against "control has no more of them than it"."""
        return ODDS.log_e(self.better) / self.phi

    def ratio_interval(self, alpha: float) -> tuple[float, float | None]:
        """Of the variant's rate over control's, valid at every look."""
        return ratio_interval(self.ratios / self.phi, alpha)

    def difference_interval(self, alpha: float) -> tuple[float, float]:
        """Of the variant's rate less control's, valid at every look."""
        return difference_interval(self.differences / self.phi, alpha)

    def after(self, x: Pair, n: Pair | None, grown: Pair, phi: float) -> Bets:
        """With one more block.

        Args:
            x, n: cumulative counts of the event, and of requests asked; None where all are.
            grown: requests that came in, which are the block where all are asked.
        """
        if n is not None:
            grown = (max(0, n[0] - self.n[0]), max(0, n[1] - self.n[1]))
        # Requests of earlier blocks may end in this one: what does not fit waits for the next.
        came = [min(max(0, x[i] - self.x[i]), grown[i]) for i in (0, 1)]
        block = (*grown, came[0], came[1])
        turned = (grown[1], grown[0], came[1], came[0])
        both = grown[0] > 0 and grown[1] > 0
        return Bets(
            x=(self.x[0] + came[0], self.x[1] + came[1]),
            n=self.n if n is None else (self.n[0] + grown[0], self.n[1] + grown[1]),
            worse=self.worse + (ODDS.log_increments(*block) if both else 0.0),
            better=self.better + (ODDS.log_increments(*turned) if both else 0.0),
            ratios=self.ratios + _RATIOS.log_increments(*block),
            differences=self.differences + _DIFFERENCES.log_increments(*block),
            tally=self.tally.add(*block),
            phi=phi,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; nothing is rounded."""
        return {
            "x": list(self.x),
            "n": list(self.n),
            "worse": pack(self.worse),
            "better": pack(self.better),
            "ratios": pack(self.ratios),
            "differences": pack(self.differences),
            "tally": self.tally.to_json(),
            "phi": self.phi,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        (x, y), (n, m) = data["x"], data["n"]
        return cls(
            x=(x, y),
            n=(n, m),
            worse=unpack(data["worse"]),
            better=unpack(data["better"]),
            ratios=unpack(data["ratios"]),
            differences=unpack(data["differences"]),
            tally=Tally.from_json(data["tally"]),
            phi=data.get("phi", 1.0),
        )


_NONE: Final = Bets()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """One variant against control."""

    n: Pair = (0, 0)
    """Requests that have been taken in, the variant's first."""
    opened_at: float = 0.0
    """When the open block began, in steady seconds."""
    bets: Mapping[str, Bets] = field(default_factory=dict)
    """By the key of the event."""
    thresholds: Mapping[str, int] = field(default_factory=dict)
    """Control's own quantiles in earlier answers, as buckets."""
    refreshed_at: float | None = None
    peaks: Mapping[str, float] = field(default_factory=dict)
    """By `better` and `worse`, the logarithm of the largest e-value there has been."""
    reached: Mapping[str, float] = field(default_factory=dict)
    """By `better` and `worse`, when it was first what decides, in Unix seconds; left out while it was not."""

    def of(self, event: Event) -> Bets:
        """What has been won on an event."""
        return self.bets.get(event.key, _NONE)

    @property
    def failures(self) -> Bets:
        """What is compared in any case."""
        return self.of(FAILURE)

    def log_e(self, metric: Metric, *, better: bool) -> float:
        """Logarithm of the e-value for a variant that is better, or worse, by a metric.

        The mean over its events, which is an e-value whatever their dependence (Vovk and Wang 2021).
        """
        won = [self.of(event) for event in metric.events]
        return log_sum_exp_of([each.log_e_better if better else each.log_e_worse for each in won]) - float(
            np.log(len(won))
        )

    def peak(self, metric: Metric, *, better: bool) -> float:
        """Logarithm of the largest e-value there has been.

        This is what decides: that an e-process of a true hypothesis *ever* reaches 1 / alpha has a chance of
        alpha at most (Ville 1939), so what it has shown once stays shown, however it falls afterwards.
        """
        way = "better" if better else "worse"
        return max(self.peaks.get(way, 0.0), self.log_e(metric, better=better))

    def noted(self, metric: Metric, *, limit: float, at: float) -> Comparison:
        """With the largest e-values so far, to be called after each block.

        Args:
            limit: logarithm of the e-value that decides.
            at: Unix seconds.
        """
        peaks = {way: self.peak(metric, better=way == "better") for way in ("better", "worse")}
        if peaks == self.peaks:
            return self
        new = {way: at for way, peak in peaks.items() if peak >= limit and way not in self.reached}
        return replace(self, peaks=peaks, reached={**self.reached, **new})

    def observe(
        self, metric: Metric, variant: ArmCounts, control: ArmCounts, *, now: float, phi: Phi = NO_PHI
    ) -> Comparison:
        """Take in what both arms have counted since the experiment began; the same twice counts once.

        A block ends by numbers of requests and time only: at twenty requests, or after ten seconds.

        Args:
            phi: how much more keys differ than chance would have it; the evidence is divided by it.
        """
        n = (variant.exposed, control.exposed)
        grown = (n[0] - self.n[0], n[1] - self.n[1])
        late = any(event.delayed for event in metric.events)
        if min(grown) < 0:
            return self
        if sum(grown) == 0 and not late:
            return replace(self, opened_at=now)
        if sum(grown) < BLOCK_REQUESTS and now - self.opened_at < BLOCK_SECONDS:
            return self
        layout, bets = metric.layout, dict(self.bets)
        figures = self._counted(metric, variant, control, self.thresholds)
        for place, event in enumerate(layout.events):
            if figures.known[0, place]:
                asked = _pair(figures.n[0, place]) if layout.own[place] else None
                bets[event.key] = self.of(event).after(
                    _pair(figures.x[0, place]), asked, grown, phi_at(phi, event)
                )
        after = replace(self, n=n, opened_at=now, bets=bets)
        # The clock begins anew with the machine.
        fresh = self.refreshed_at is not None and 0 <= now - self.refreshed_at < REFRESH_SECONDS
        if not fresh or len(bets) < len(layout.keys):
            return after._refreshed(metric, variant, control, now)
        return after

    def _refreshed(self, metric: Metric, variant: ArmCounts, control: ArmCounts, now: float) -> Comparison:
        """With thresholds for blocks still to come."""
        thresholds = dict(self.thresholds)
        for event in metric.layout.events:
            bucket = new_threshold(event, control) if event.threshold else None
            if bucket is not None:
                thresholds[event.threshold] = bucket
        bets = dict(self.bets)
        figures = self._counted(metric, variant, control, thresholds)
        for place, event in enumerate(metric.layout.events):
            if event.threshold and thresholds.get(event.threshold) != self.thresholds.get(event.threshold):
                # Counting begins anew there: what lay beyond so far has been judged by the old one.
                bets[event.key] = replace(
                    self.of(event), x=_pair(figures.x[0, place]), n=_pair(figures.n[0, place])
                )
        return replace(self, thresholds=thresholds, bets=bets, refreshed_at=now)

    @staticmethod
    def _counted(
        metric: Metric, variant: ArmCounts, control: ArmCounts, thresholds: Mapping[str, int]
    ) -> Counted:
        asked = np.ones((1, len(metric.layout.events)), dtype=np.bool_)
        return counted(metric.layout, [(variant, control)], [thresholds], asked)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; nothing is rounded."""
        return {
            "n": list(self.n),
            "opened_at": self.opened_at,
            "bets": {key: bets.to_json() for key, bets in self.bets.items()},
            "thresholds": dict(self.thresholds),
            "refreshed_at": self.refreshed_at,
            "peaks": dict(self.peaks),
            "reached": dict(self.reached),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        n, m = data["n"]
        if "bets" not in data:
            # Before there were metrics, failures were all there was.
            bets = {FAILURE.key: Bets.from_json({**data, "n": (0, 0)})}
            return cls(n=(n, m), opened_at=data["opened_at"], bets=bets)
        return cls(
            n=(n, m),
            opened_at=data["opened_at"],
            bets={key: Bets.from_json(one) for key, one in data["bets"].items()},
            thresholds=dict(data["thresholds"]),
            refreshed_at=data["refreshed_at"],
            # What was stored before these existed is taken from where the evidence stands.
            peaks=dict(data.get("peaks", {})),
            reached=dict(data.get("reached", {})),
        )


def _pair(values: npt.NDArray[np.int64]) -> Pair:
    first, second = values.tolist()
    return int(first), int(second)
