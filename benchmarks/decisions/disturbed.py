"""How often a good canary is rolled back where the textbook's assumptions fail: nothing here is its fault."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from benchmarks.decisions.figures import of_rate
from benchmarks.decisions.latency import FAST, Law, lognormal, shares_beyond
from benchmarks.decisions.users import PACE, SHARE, Feed, failing_users, slow_users
from control.guardrails.slowness import DEFAULT_QUANTILES
from control.rollout.batch import LATENCY_ALONE, Arrivals, Batch, Study, watch
from control.rollout.simulate import Bursts, Traffic, slow
from control.stats.overdispersion import at_least
from control.stats.wealth import Caution

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator
Progress = Callable[[int, int], None]

LEVELS = (0.05, 0.01)
SECONDS = 3600
_LONGEST = 40
"""Seconds; one answer of the slow law in 60 000 takes longer, and is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisturbedCell:
    """One situation, seen by one error budget."""

    group: str = "disturbed"
    situation: str
    alpha: float
    runs: int = 1000

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"{self.situation}, alpha {self.alpha:g}"

    def run(self, runs: int, seed: int, progress: Progress) -> dict[str, Any]:
        """Simulate and sum up; plain JSON values."""
        del seed  # Every budget looks at the same runs.
        found = _watched(self.situation, runs, progress)
        count = int((found.log_peak >= math.log(1.0 / self.alpha)).sum())
        kept = {"group": self.group, "runs": runs, "alpha": self.alpha, "goal": self.alpha}
        return kept | of_rate(count, runs)


def disturbed() -> Iterator[DisturbedCell]:
    """All situations."""
    for situation in SITUATIONS:
        for alpha in LEVELS:
            yield DisturbedCell(situation=situation, alpha=alpha)


_latest: dict[tuple[str, int], Study] = {}


def _watched(situation: str, runs: int, progress: Progress) -> Study:
    """The same runs are looked at at every level; the latest are kept for the next cell."""
    if (situation, runs) not in _latest:
        found = _watch(situation, runs, progress)
        _latest.clear()
        _latest[situation, runs] = found
    return _latest[situation, runs]


def _watch(situation: str, runs: int, progress: Progress) -> Study:
    rng = np.random.default_rng(zlib.crc32(situation.encode()))
    begin, weights = SITUATIONS[situation]
    alpha = min(LEVELS)
    batch = Batch(runs, weights, Caution.of(0.0, alpha))
    return watch(batch, begin(runs, rng), seconds=SECONDS, alpha=alpha, progress=progress)


def _failures(n: npt.NDArray[np.int64], rates: Floats, rng: Generator) -> Arrivals:
    return Arrivals(n=n, x=rng.binomial(n, rates)[:, None, :])


def _outages(runs: int, rng: Generator) -> Feed:
    """Both arms fail together, 5 to 90 % for 5 to 60 s, every ten minutes on average."""
    traffic = Traffic(
        requests_per_second=PACE,
        control_rate=0.01,
        canary_rate=0.01,
        seconds=SECONDS,
        common_outages=Bursts(every_s=600.0),
    )
    rates = np.stack([traffic.rates(rng)[0] for _ in range(runs)])
    shares = PACE * np.array([SHARE, 1.0 - SHARE])
    return lambda second: _failures(rng.poisson(shares, (runs, 2)), rates[:, second, None], rng)


def _ramp(runs: int, rng: Generator) -> Feed:
    """The weight rises from 5 to 50 % while the failures of both arms rise from 0.5 to 5 % (Simpson)."""
    weights = (0.05, 0.1, 0.25, 0.5)
    rates = np.geomspace(0.005, 0.05, SECONDS)
    each = SECONDS // len(weights)

    def feed(second: int) -> Arrivals:
        weight = weights[min(second // each, len(weights) - 1)]
        n = rng.poisson(PACE * np.array([weight, 1.0 - weight]), (runs, 2))
        x = rng.binomial(n, rates[second])[:, None, :]
        return Arrivals(n=n, x=x, new_stage=second > 0 and second % each == 0)

    return feed


def _day(runs: int, rng: Generator) -> Feed:
    """A day within an hour: from 10 to 190 requests a second, and from 0.2 to 3 % failures."""
    wave = (1.0 - np.cos(2.0 * np.pi * np.arange(SECONDS) / SECONDS)) / 2.0
    pace, rates = 10.0 + 180.0 * wave, 0.002 + 0.028 * wave
    shares = np.array([SHARE, 1.0 - SHARE])
    return lambda second: _failures(rng.poisson(pace[second] * shares, (runs, 2)), rates[second, None], rng)


def _probe(runs: int, rng: Generator) -> Feed:
    """One client asks every ten seconds for what always fails; every request is routed on its own."""
    shares = PACE * np.array([SHARE, 1.0 - SHARE])

    def feed(second: int) -> Arrivals:
        came = _failures(rng.poisson(shares, (runs, 2)), np.full(2, 0.001), rng)
        if second % 10:
            return came
        to_canary = rng.random(runs) < SHARE
        probe = np.stack((to_canary, ~to_canary), axis=1).astype(np.int64)
        return Arrivals(n=came.n + probe, x=came.x + probe[:, None, :])

    return feed


def _slower_together(runs: int, rng: Generator) -> Feed:
    """Both arms get up to three times as slow and fast again, minute by minute."""
    factors = 3.0 ** rng.random((runs, SECONDS // 60 + 1))
    shares = PACE * np.array([SHARE, 1.0 - SHARE])
    beyond: Floats = np.empty(0)

    def feed(second: int) -> Arrivals:
        nonlocal beyond
        minute, into = divmod(second, 60)
        if into == 0:
            # Thresholds are those of the minute before.
            before = factors[:, max(minute - 1, 0)]
            beyond = np.array(
                [
                    shares_beyond(_slowed(now), _slowed(then))
                    for now, then in zip(factors[:, minute], before, strict=True)
                ]
            )
        n = rng.poisson(shares, (runs, 2))
        return Arrivals(n=n, x=slow(n, beyond[:, None, :], rng))

    return feed


def _late(runs: int, rng: Generator) -> Feed:
    """Answers that take seconds, while traffic stops for every other half minute: slow ones come last."""
    law = lognormal(5.0)
    edges = [5.0 * math.exp(0.5 * float(ndtri(quantile))) for quantile in DEFAULT_QUANTILES]
    # Of the answers to requests of one second, the share that comes in each later one and is in each class.
    seconds, bounds = np.arange(_LONGEST + 1), np.array([0.0, *edges, np.inf])
    begin = np.maximum(seconds[:-1, None], bounds[None, :-1])
    end = np.minimum(seconds[1:, None], bounds[None, 1:])
    share = np.where(end > begin, law(begin) - law(end), 0.0)
    coming = np.zeros((_LONGEST, runs, 2, share.shape[1]), dtype=np.int64)
    pace = PACE * np.array([SHARE, 1.0 - SHARE])

    def feed(second: int) -> Arrivals:
        if second // 30 % 2 == 0:
            for delay, shares in enumerate(share):
                place = (second + delay) % _LONGEST
                coming[place] += rng.poisson(pace[None, :, None] * shares, coming.shape[1:])
        answers = coming[second % _LONGEST].copy()
        coming[second % _LONGEST] = 0
        slower = at_least(answers, axis=2)
        return Arrivals(n=slower[..., 0], x=slower[..., 1:].transpose(0, 2, 1))

    return feed


def _slowed(factor: float) -> Law:
    return lambda seconds: FAST(seconds / factor)


# How requests come in, and how the events of a request weigh.
SITUATIONS: dict[str, tuple[Callable[[int, Generator], Feed], tuple[float, ...]]] = {
    "outages of both arms every ten minutes": (_outages, (1.0,)),
    "weight 5 to 50% while failures rise tenfold": (_ramp, (1.0,)),
    "a day of traffic and failures within the hour": (_day, (1.0,)),
    "a probe that always fails": (_probe, (1.0,)),
    "2 000 unequal users who stay at their arm": (failing_users, (1.0,)),
    "2 000 users who ask unequally and differ in slowness": (slow_users, LATENCY_ALONE),
    "latency of both arms changes every minute": (_slower_together, LATENCY_ALONE),
    "answers of 5 s, traffic that stops for half of each minute": (_late, LATENCY_ALONE),
}
