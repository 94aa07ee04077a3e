"""The evidence of harm of many runs side by side, in the state and with the bets that a plan keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from control.guardrails.slowness import DEFAULT_QUANTILES
from control.judgement.observation import BLOCK_REQUESTS, BLOCK_SECONDS, START_SECONDS
from control.stats.blocks import log_mgf_of
from control.stats.events import FAILURE
from control.stats.hypergeometric import log_mgf_bound
from control.stats.logspace import log_sum_exp
from control.stats.mixture import ODDS
from control.stats.process import HarmProcess, log_start_weight
from control.stats.wealth import Caution, Wealth

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# As a plan with one error guardrail and one latency guardrail weighs them.
LATENCY_ALONE: Final = (1.0 / len(DEFAULT_QUANTILES),) * len(DEFAULT_QUANTILES)
WITH_LATENCY: Final = (0.625, *(0.375 * weight for weight in LATENCY_ALONE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """What came in during one second of every run, canary first."""

    n: Counts
    """Requests, shape (runs, 2)."""
    x: Counts
    """Those with each event, shape (runs, events, 2)."""
    phi: Floats | None = None
    """How much more keys differ in each event than requests would, so far; evidence is divided by it. Shape
    (runs, events)."""
    new_stage: bool = False
    """Whether the weight has changed before them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """When each of many runs would have rolled back."""

    detected_s: Counts
    """Seconds from the beginning, -1 for never; shape (runs,)."""
    canary_requests: Counts
    """Canary requests since the onset until then (or until the end), shape (runs,)."""
    log_peak: Floats
    """The largest log e that was looked at, shape (runs,)."""

    @property
    def rate(self) -> float:
        """Share of runs that rolled back."""
        return float((self.detected_s >= 0).mean())


def watch(
    batch: Batch,
    arrivals: Callable[[int], Arrivals],
    *,
    seconds: int,
    alpha: float,
    onset_s: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Look at a batch every second, until all of its runs have reached 1/alpha or the time is up.

    Args:
        arrivals: what comes in during a second, counted from 0.
        onset_s: canary requests count from then on.
        progress: called every simulated minute with the seconds done and the seconds there are.
    """
    detected = np.full(batch.runs, -1, dtype=np.int64)
    requests = np.zeros(batch.runs, dtype=np.int64)
    peak = np.full(batch.runs, -np.inf)
    for second in range(seconds):
        came = arrivals(second)
        if came.new_stage:
            batch.begin_stage()
        batch.second(float(second), came)
        running = detected < 0
        requests[running & (second >= onset_s)] += came.n[running & (second >= onset_s), 0]
        batch.raise_to(peak)
        reached = running & (peak >= math.log(1.0 / alpha))
        detected[reached] = second + 1
        if progress is not None and second % 60 == 0:
            progress(second, seconds)
        if not (detected < 0).any():
            break
    return Study(detected_s=detected, canary_requests=requests, log_peak=peak)


class Batch:
    """The evidence of harm of many runs: events on the second axis, the grid on the last.

    Args:
        weights: of the events' e-values in their mean.
        exact: whether blocks are summed exactly where the product does so; False takes the bound throughout.
    """

    def __init__(self, runs: int, weights: Sequence[float], caution: Caution, *, exact: bool = True) -> None:
        self.runs, events = runs, len(weights)
        self._caution, self._exact = caution, exact
        self._weights = np.array(weights)
        self._wealth = Wealth.begin(HarmProcess(event=FAILURE, bet=ODDS), caution, (runs, events))
        self._n = np.zeros((runs, 2), dtype=np.int64)
        self._x = np.zeros((runs, events, 2), dtype=np.int64)
        self._opened = np.zeros(runs)
        self._phi = np.ones((runs, events))
        self._slice_at = self._start_at = 0.0
        self._starts = 0
        self._table = np.empty((4096, ODDS.size))
        self._filled = 0
        self._known: dict[int, int] = {}

    def begin_stage(self) -> None:
        """A weight has changed: what came in before it makes a block of its own, however small."""
        self._end(np.flatnonzero(self._n.sum(axis=1)))

    def second(self, now: float, arrivals: Arrivals) -> None:
        """Take in what came during the second that ends now."""
        self._pass_time(now)
        self._phi = self._phi if arrivals.phi is None else arrivals.phi
        self._n += arrivals.n
        self._x += arrivals.x
        total = self._n.sum(axis=1)
        self._opened[total == 0] = now
        due = np.flatnonzero(
            (total >= BLOCK_REQUESTS) | ((total > 0) & (now - self._opened >= BLOCK_SECONDS))
        )
        self._end(due)
        self._opened[due] = now

    def _end(self, rows: Counts) -> None:
        if len(rows):
            increments = np.zeros_like(self._wealth.pending)
            increments[rows] = self._increments(self._n[rows], self._x[rows])
            self._wealth = self._wealth.absorb(increments)
            self._n[rows], self._x[rows] = 0, 0

    def raise_to(self, peak: Floats) -> None:
        """Bring *peak*, shape (runs,), up to the combined log e where that is larger now."""
        values = self._wealth.values(self._caution, self._phi[..., None])
        # A mean is no larger than its largest part, so few runs have to be worked out.
        rows = np.flatnonzero((values.max(axis=2) / self._phi).max(axis=1) > peak)
        if len(rows):
            log_e = ODDS.log_e_of(values[rows]) / self._phi[rows]
            log_e = log_sum_exp(log_e + np.log(self._weights))
            peak[rows] = np.maximum(peak[rows], log_e)

    def _pass_time(self, now: float) -> None:
        due = now - self._start_at >= START_SECONDS
        slice_s = self._caution.slice_s
        ended = int((now - self._slice_at) // slice_s) if slice_s > 0 else int(due)
        for _ in range(ended):
            self._wealth = self._wealth.close(self._caution, self._phi[..., None])
        if ended and due:
            self._starts += 1
            self._wealth = self._wealth.start(log_start_weight(self._starts))
            self._start_at = now
        self._slice_at = self._slice_at + ended * slice_s if slice_s > 0 else now

    def _increments(self, n: Counts, x: Counts) -> Floats:
        """What each odds ratio wins, shape (R, events, 16), from n, shape (R, 2), and x, (R, events, 2)."""
        bad = x.sum(axis=2)
        told = (n.min(axis=1)[:, None] > 0) & (bad > 0) & (bad < n.sum(axis=1)[:, None])
        rows, events = np.nonzero(told)
        increments = np.zeros((*bad.shape, ODDS.size))
        log_m = self._log_mgf(n[rows, 0], n[rows, 1], bad[rows, events])
        increments[rows, events] = x[rows, events, :1] * ODDS.log_psi - log_m
        return increments

    def _log_mgf(self, n_c: Counts, n_t: Counts, bad: Counts) -> Floats:
        """log M(psi) of each block; many runs have the same block, so each kind is worked out once."""
        if not self._exact:
            return log_mgf_bound(n_c, n_t, bad, ODDS.psi)
        kinds, kind_of = np.unique((n_c << 42) | (n_t << 21) | bad, return_inverse=True)
        new = np.array([kind for kind in kinds.tolist() if kind not in self._known], dtype=np.int64)
        if len(new):
            part = (1 << 21) - 1
            found = log_mgf_of(new >> 42, (new >> 21) & part, new & part, ODDS.psi)
            self._known |= {kind: self._filled + i for i, kind in enumerate(new.tolist())}
            while self._filled + len(new) > len(self._table):
                self._table = np.concatenate((self._table, np.empty_like(self._table)))
            self._table[self._filled : self._filled + len(new)] = found
            self._filled += len(new)
        places = np.array([self._known[kind] for kind in kinds.tolist()], dtype=np.int64)
        return self._table[places[kind_of]]
