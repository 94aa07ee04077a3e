"""How soon a slower canary is found, by latency alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from benchmarks.decisions.figures import of_requests
from control.guardrails.slowness import DEFAULT_QUANTILES
from control.rollout.batch import LATENCY_ALONE, Arrivals, Batch, watch
from control.rollout.simulate import slow
from control.stats.latency import UPPER_EDGES, threshold
from control.stats.wealth import Caution

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Generator = np.random.Generator
Law = Callable[[Floats], Floats]
"""The share of requests that take longer than so many seconds."""

ALPHA = 0.05
PACE = 100.0
SECONDS = 3600


def lognormal(median_s: float, sigma: float = 0.5) -> Law:
    """The law of most services without queues."""
    return lambda seconds: ndtr(-np.log(np.maximum(seconds, 1e-9) / median_s) / sigma)


FAST = lognormal(0.05)
STUCK = lognormal(0.21)


# What has become of the canary, and the most that the median may be of the limit (at a weight of 5 %).
SLOWER: dict[str, tuple[Law, float]] = {
    "median +10%": (lognormal(0.055), 2.3),
    "median +50%": (lognormal(0.075), 2.3),
    # One request in twenty meets something slow: p99 is 320 instead of 160 ms, the median hardly moves.
    "p99 x 2": (lambda seconds: 0.95 * FAST(seconds) + 0.05 * STUCK(seconds), 3.5),
    "one in ten 200 ms slower": (lambda seconds: 0.9 * FAST(seconds) + 0.1 * FAST(seconds - 0.2), 4.6),
}


def shares_beyond(canary: Law, control: Law) -> Floats:
    """Shares of the canary's requests that are beyond control's quantiles, shape (5,)."""
    counts = np.rint(1e12 * -np.diff(control(UPPER_EDGES), prepend=1.0)).astype(np.int64)
    buckets = [threshold(counts, level) for level in DEFAULT_QUANTILES]
    return canary(UPPER_EDGES[np.array(buckets)])


def limit(canary: Law, share: float, alpha: float) -> float:
    """Mean canary requests no test of the buckets can undercut that has to learn control's law as well."""
    one, other = (-np.diff(law(UPPER_EDGES), prepend=1.0) for law in (canary, FAST))
    mean = share * one + (1.0 - share) * other
    information = 0.0
    for part, weight in ((one, share), (other, 1.0 - share)):
        there = part > 0
        information += weight * float((part[there] * np.log(part[there] / mean[there])).sum())
    return math.log(1.0 / alpha) * share / information


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCell:
    """One way of being slower."""

    group: str = "latency"
    change: str
    weight: float
    goal: float
    runs: int = 400

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"{self.change}, {self.weight:.0%} against {1 - self.weight:.0%}, alpha {ALPHA:g}"

    def run(self, runs: int, seed: int, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Simulate and sum up; plain JSON values."""
        rng = np.random.default_rng(seed)
        law, _ = SLOWER[self.change]
        beyond = np.stack((shares_beyond(law, FAST), shares_beyond(FAST, FAST)))
        shares = PACE * np.array([self.weight, 1.0 - self.weight])

        def arrivals(second: int) -> Arrivals:
            del second
            n = rng.poisson(shares, (runs, 2))
            return Arrivals(n=n, x=slow(n, beyond, rng))

        batch = Batch(runs, LATENCY_ALONE, Caution.of(0.0, ALPHA))
        found = watch(batch, arrivals, seconds=SECONDS, alpha=ALPHA, progress=progress)
        done = found.detected_s >= 0
        kept = {"group": self.group, "runs": runs, "alpha": ALPHA, "goal": self.goal}
        return kept | of_requests(
            found.canary_requests[done],
            found.detected_s[done],
            runs=runs,
            limit=limit(law, self.weight, ALPHA),
            by_median=True,
        )


def latencies() -> Iterator[LatencyCell]:
    """Every change, with a small canary and with an equal one."""
    for change, (_, goal) in SLOWER.items():
        yield LatencyCell(change=change, weight=0.05, goal=goal)
        yield LatencyCell(change=change, weight=0.5, goal=math.nan)
