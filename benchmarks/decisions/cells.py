"""The cells of the report: what is simulated, and what its figures stand beside."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.decisions.disturbed import LEVELS, DisturbedCell, disturbed
from benchmarks.decisions.figures import of_rate, of_requests
from benchmarks.decisions.latency import LatencyCell, latencies
from benchmarks.decisions.promotion import MARGINS, PromotionCell
from benchmarks.decisions.together import TogetherCell, together
from control.rollout.batch import Study
from control.rollout.simulate import Bursts, Traffic, study
from control.stats.power import fixed_requests, rollback_limit
from control.stats.sample_ratio import expected_share

Progress = Callable[[int, int], None]

BASELINES = (0.001, 0.01, 0.05)
WEIGHTS = (0.05, 0.1, 0.5)
EFFECTS = ((0.001, 0.002), (0.001, 0.005), (0.01, 0.02), (0.01, 0.05), (0.05, 0.1), (0.05, 0.25))
# At small weights against all the rest, as where stable is compared with.
SMALL = (0.01, 0.05)
BURST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One simulated situation."""

    group: str
    """`identical`, `detection`, `gross`, `late`, `bursts` or `condemned`."""
    name: str
    traffic: Traffic
    weight: float
    alpha: float
    runs: int
    """In the full report."""
    burst_s: float = 0.0
    whole_control: bool = False
    """Whether all requests that are not the canary's are compared with, instead of as many as it has."""
    goal: float = math.nan
    """The most that the headline figure may be."""
    more: dict[str, float] = field(default_factory=dict)

    def run(self, runs: int, seed: int, progress: Progress) -> dict[str, Any]:
        """Simulate and sum up; plain JSON values."""
        found = self._study(runs, seed, progress)
        innocent = self.group in ("identical", "bursts")
        figures = self._false(found, runs) if innocent else self._detected(found, runs)
        return {"group": self.group, "runs": runs, "alpha": self.alpha, "goal": self.goal, **figures}

    def _study(self, runs: int, seed: int, progress: Progress) -> Study:
        if self.group == "identical":
            return _of_identical(self.traffic, runs, self.weight, self.whole_control, progress)
        return study(
            self.traffic,
            runs=runs,
            weight=self.weight,
            alpha=self.alpha,
            seed=seed,
            burst_s=self.burst_s,
            whole_control=self.whole_control,
            progress=progress,
        )

    def _false(self, found: Study, runs: int) -> dict[str, Any]:
        # Where nothing is clipped the level only says which value is too high.
        rolled_back = found.log_peak >= math.log(1.0 / self.alpha)
        count = int((found.detected_s >= 0).sum() if self.burst_s else rolled_back.sum())
        return of_rate(count, runs)

    def _detected(self, found: Study, runs: int) -> dict[str, Any]:
        # What was rolled back before anything was wrong says nothing about detection.
        done = found.detected_s >= self.traffic.onset_s
        rates = self.traffic.control_rate, self.traffic.canary_rate
        share = self.weight if self.whole_control else expected_share(self.weight)
        return of_requests(
            found.canary_requests[done],
            found.detected_s[done] - self.traffic.onset_s,
            runs=runs,
            limit=rollback_limit(*rates, share, self.alpha),
            fixed=fixed_requests(*rates, 1.0, self.alpha),
        )


AnyCell = Cell | PromotionCell | TogetherCell | LatencyCell | DisturbedCell
_latest: dict[tuple[Traffic, int, float, bool], Study] = {}


def _of_identical(
    traffic: Traffic, runs: int, weight: float, whole_control: bool, progress: Progress
) -> Study:
    """The same runs are looked at at every level; the latest are kept for the next cell."""
    shape = (traffic, runs, weight, whole_control)
    if shape not in _latest:
        found = study(
            traffic,
            runs=runs,
            weight=weight,
            alpha=min(LEVELS),
            seed=zlib.crc32(repr(shape).encode()),
            latency=True,
            whole_control=whole_control,
            progress=progress,
        )
        _latest.clear()
        _latest[shape] = found
    return _latest[shape]


def cells() -> Iterator[AnyCell]:
    """All cells, in the order of the report."""
    yield from _identical()
    yield from _detection()
    yield from _late()
    yield from _bursts()
    yield from _promotions()
    yield from together()
    yield from latencies()
    yield from disturbed()


def _traffic(control: float, canary: float, **more: Any) -> Traffic:
    return Traffic(requests_per_second=100.0, control_rate=control, canary_rate=canary, **more)


def _identical() -> Iterator[Cell]:
    shapes = [(base, weight, True) for base in BASELINES for weight in WEIGHTS]
    # A control that is cut to the canary's size, as by default.
    shapes += [(0.01, weight, False) for weight in WEIGHTS if weight < 0.5]
    for base, weight, whole in shapes:
        control = 1.0 - weight if whole else weight
        for alpha in LEVELS:
            yield Cell(
                group="identical",
                name=f"{base:.1%} fail, {weight:.0%} against {control:.0%}, alpha {alpha:g}",
                traffic=_traffic(base, base),
                weight=weight,
                alpha=alpha,
                whole_control=whole,
                runs=2000,
                goal=alpha,
            )


def _detection() -> Iterator[Cell]:
    goals = {0.05: 1.7, 0.01: 1.5, 0.001: 1.45}
    for alpha, goal in goals.items():
        for before, after in EFFECTS:
            yield Cell(
                group="detection",
                name=f"{before:.1%} to {after:.1%}, weight 10%, alpha {alpha:g}",
                # Small effects take longer than an hour.
                traffic=_traffic(before, after, seconds=21_600 if after < 0.003 else 3600),
                weight=0.1,
                alpha=alpha,
                runs=300 if after < 0.003 else 1000,
                goal=goal,
            )
        for weight in SMALL:
            against = f"{weight:.0%} against {1 - weight:.0%}"
            for before, after in (*EFFECTS[1:], (0.05, 0.075)):
                yield Cell(
                    group="detection",
                    name=f"{before:.1%} to {after:.1%}, {against}, alpha {alpha:g}",
                    traffic=_traffic(before, after, seconds=21_600 if weight < 0.05 else 3600),
                    weight=weight,
                    alpha=alpha,
                    whole_control=True,
                    runs=400,
                    goal=math.nan if (after, weight) == (0.25, 0.05) else goal,
                )
        # At 100 a second five canary requests come between two looks, where two dozen suffice.
        yield Cell(
            group="detection",
            name=f"5.0% to 25.0%, 5% against 95%, 20/s, alpha {alpha:g}",
            traffic=Traffic(requests_per_second=20.0, control_rate=0.05, canary_rate=0.25),
            weight=0.05,
            alpha=alpha,
            whole_control=True,
            runs=4000,
            goal=goal,
        )
    yield Cell(
        group="detection",
        name="0.1% to 5.0%, weight 10%, alpha 0.05",
        traffic=_traffic(0.001, 0.05),
        weight=0.1,
        alpha=0.05,
        runs=1000,
        goal=2.3,
    )
    # Seconds with so few requests that the end of one is hardly waited for.
    for weight, pace, goal in ((0.05, 20.0, 6.0), (0.1, 10.0, 6.0), (0.5, 4.0, 15.0)):
        yield Cell(
            group="gross",
            name=f"0.1% to 100.0%, {weight:.0%} against {1 - weight:.0%}, {pace:g}/s, alpha 0.05",
            traffic=Traffic(requests_per_second=pace, control_rate=0.001, canary_rate=1.0, seconds=600),
            weight=weight,
            alpha=0.05,
            whole_control=True,
            runs=1000,
            goal=goal,
        )


def _late() -> Iterator[Cell]:
    for before, after, goal, whole in (
        (0.01, 0.05, 4.5, False),
        (0.01, 0.05, 4.5, True),
        (0.01, 1.0, math.nan, False),
    ):
        against = ", against 95%" if whole else ""
        yield Cell(
            group="late",
            name=f"{before:.1%} to {after:.1%} after half an hour, weight 5%{against}, alpha 0.05",
            traffic=_traffic(before, after, onset_s=1800),
            weight=0.05,
            alpha=0.05,
            runs=400,
            whole_control=whole,
            goal=goal,
        )


def _bursts() -> Iterator[Cell]:
    for rate in (5, 50):
        for base in (0.001, 0.01):
            for every in (3600, 1800):
                traffic = Traffic(
                    requests_per_second=2.0 * rate,
                    control_rate=base,
                    canary_rate=base,
                    bursts=Bursts(every_s=every),
                )
                often = "one burst" if every == 3600 else "two bursts"
                yield Cell(
                    group="bursts",
                    name=f"{often} an hour on each arm, {base:.1%} fail, {rate}/s an arm, alpha 0.01",
                    traffic=traffic,
                    weight=0.5,
                    alpha=0.01,
                    burst_s=BURST_S,
                    runs=1000,
                    goal=0.01 if every == 3600 else math.nan,
                )
    for rate, canary, onset in (
        (1, 1.0, 600),
        (5, 1.0, 300),
        (50, 1.0, 1200),
        (5, 0.05, 0),
        (50, 0.05, 0),
        (50, 0.02, 0),
    ):
        yield Cell(
            group="condemned",
            name=f"1.0% to {canary:.0%} after {onset // 60} min, {rate}/s an arm, alpha 0.01",
            traffic=Traffic(
                requests_per_second=2.0 * rate, control_rate=0.01, canary_rate=canary, onset_s=onset
            ),
            weight=0.5,
            alpha=0.01,
            burst_s=BURST_S,
            runs=200,
            goal=120.0 if canary == 1.0 else math.nan,
        )


def _promotions() -> Iterator[PromotionCell]:
    for rate, weight, ratio, rise in MARGINS:
        margin = {"rate": rate, "weight": weight, "ratio": ratio, "rise": rise}
        yield PromotionCell(group="promotion", **margin, runs=1000, goal=1.6)
        yield PromotionCell(group="margin", **margin, runs=2000, goal=0.05)
