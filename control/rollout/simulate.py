"""Seeded studies: what a plan does to traffic of a given kind, run by run or for many runs at once.

`run_once` drives the real `observe`, `analyse` and `advance` second by second. `study` keeps only evidence
of harm, for hundreds of runs side by side in the same state and with the same bets, so that rare events (a
false rollback) can be counted. Randomness lives here and nowhere else in the judgement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from control.guardrails.slowness import DEFAULT_QUANTILES
from control.judgement.analysis import analyse
from control.judgement.evidence import ArmCounts, Evidence
from control.judgement.observation import BLOCK_REQUESTS, BLOCK_SECONDS, START_SECONDS, observe
from control.plans.plan import RolloutPlan
from control.rollout.machine import Decision, Rollout, State, advance, weight
from control.stats.blocks import log_mgf_of
from control.stats.events import FAILURE
from control.stats.hypergeometric import log_mgf_bound
from control.stats.logspace import log_sum_exp
from control.stats.mixture import ODDS
from control.stats.process import HarmProcess, log_start_weight
from control.stats.sample_ratio import expected_share
from control.stats.wealth import Caution, Wealth
from proxy.histogram import BUCKETS, EDGES_US
from proxy.outcomes import Outcome

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Generator = np.random.Generator

_EDGES: Final = np.array(EDGES_US, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """Trouble of one endpoint: it hits one arm at a time, and says nothing about the build."""

    every_s: float
    """Mean time between two bursts of an arm."""
    shortest_s: int = 5
    longest_s: int = 60
    lowest: float = 0.05
    highest: float = 0.9
    """Range of the failure rate during a burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What arrives at a route and how it fares. Times are seconds, rates are shares of requests."""

    requests_per_second: float
    control_rate: float
    canary_rate: float
    onset_s: int = 0
    """Until then the canary fails like control."""
    seconds: int = 3600
    latency_s: float = 0.05
    """Median of both arms; lognormal."""
    canary_latency_factor: float = 1.0
    latency_sigma: float = 0.5
    bursts: Bursts | None = None
    common_outages: Bursts | None = None
    """The same for both arms at once."""

    def rates(self, rng: Generator) -> tuple[Floats, Floats]:
        """Failure rates of canary and control in every second, each of shape (seconds,)."""
        canary = np.full(self.seconds, self.control_rate)
        canary[self.onset_s :] = self.canary_rate
        control = np.full(self.seconds, self.control_rate)
        for arms in ((canary,), (control,)):
            if self.bursts is not None:
                _strike(self.bursts, arms, rng)
        if self.common_outages is not None:
            _strike(self.common_outages, (canary, control), rng)
        return canary, control


def _strike(bursts: Bursts, arms: Sequence[Floats], rng: Generator) -> None:
    seconds = len(arms[0])
    for _ in range(rng.poisson(seconds / bursts.every_s)):
        start = int(rng.integers(0, seconds))
        end = start + int(rng.integers(bursts.shortest_s, bursts.longest_s + 1))
        rate = rng.uniform(bursts.lowest, bursts.highest)
        for arm in arms:
            np.maximum(arm[start:end], rate, out=arm[start:end])


@dataclass(slots=True)
class _Arm:
    """Counts of one arm that grow second by second."""

    started: int = 0
    failed: int = 0
    total: Counts = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))

    def serve(self, n: int, failed: int, median_s: float, sigma: float, rng: Generator) -> None:
        self.started += n
        self.failed += failed
        latencies = rng.lognormal(math.log(median_s * 1e6), sigma, n - failed)
        buckets = np.searchsorted(_EDGES, latencies, side="left")
        self.total += np.bincount(buckets, minlength=BUCKETS)

    def counts(self) -> ArmCounts:
        outcomes = [0] * len(Outcome)
        outcomes[Outcome.OK] = self.started - self.failed
        outcomes[Outcome.UPSTREAM_5XX] = self.failed
        return ArmCounts(
            started=self.started,
            finished=self.started,
            failed=self.failed,
            outcomes=tuple(outcomes),
            total=self.total.copy(),
            first_byte=self.total.copy(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one simulated rollout went."""

    rollout: Rollout
    decisions: tuple[Decision, ...]
    evidence: Evidence
    seconds: int
    """How long it took."""
    canary_requests: int


def run_once(
    plan: RolloutPlan, traffic: Traffic, seed: int, *, progress: Callable[[int, int], None] | None = None
) -> Run:
    """Ramp one canary through a plan, one analysis a second, until it is finished or the time is up.

    Args:
        progress: called every simulated minute with the seconds done and the seconds there are.
    """
    rng = np.random.default_rng(seed)
    canary_rates, control_rates = traffic.rates(rng)
    rollout = Rollout(id="simulated", route="simulated", stable="stable", canary="canary", created_at=0.0)
    evidence, decisions = Evidence.empty(), []
    stage, canary, control = "", _Arm(), _Arm()
    requests = second = 0
    for second in range(traffic.seconds):
        now, share = float(second), weight(rollout, plan)
        analysis = None
        if rollout.state in (State.PROGRESSING, State.PAUSED):
            name = f"simulated:{rollout.step}:{rollout.stage}"
            if name != stage:
                stage, canary, control = name, _Arm(), _Arm()
            for arm, part, rate, factor in (
                (canary, share, canary_rates[second], traffic.canary_latency_factor),
                (control, min(share, 1.0 - share), control_rates[second], 1.0),
            ):
                n = int(rng.poisson(traffic.requests_per_second * part))
                failed, median_s = int(rng.binomial(n, rate)), traffic.latency_s * factor
                arm.serve(n, failed, median_s, traffic.latency_sigma, rng)
                requests += n if arm is canary else 0
            evidence = observe(
                evidence,
                plan,
                stage=stage,
                canary=canary.counts(),
                control=control.counts(),
                now=now,
                share=expected_share(share) if share < 1 else None,
            )
            analysis = analyse(evidence, plan, now, step=rollout.step)
        moved = advance(rollout, plan, analysis, now)
        rollout = moved.rollout
        if moved.decision is not None:
            decisions.append(moved.decision)
        if rollout.finished:
            break
        if progress is not None and second % 60 == 0:
            progress(second, traffic.seconds)
    return Run(
        rollout=rollout,
        decisions=tuple(decisions),
        evidence=evidence,
        seconds=second + 1,
        canary_requests=requests,
    )


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


# What slowness looks like to a study: shares of requests beyond the quantiles that latency guardrails take.
SLOW_SHARES: Final = tuple(1.0 - quantile for quantile in DEFAULT_QUANTILES)


def study(
    traffic: Traffic,
    *,
    runs: int,
    weight: float,
    alpha: float,
    seed: int,
    burst_s: float = 0.0,
    latency: bool = False,
    whole_control: bool = False,
    exact: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Count rollbacks of many runs at a constant weight, with the evidence of harm a plan keeps.

    Args:
        weight: the canary's; control is cut to the same size where that is possible.
        latency: whether the latency thresholds of a guardrail take part with the weight that plans give them;
            both arms are equally fast.
        whole_control: whether all other requests are control instead, as where stable is compared with.
        exact: whether blocks are summed exactly where the product does so; False takes the bound throughout,
            which is faster and never finds more.
        progress: called every simulated minute with the seconds done and the seconds there are.
    """
    rng = np.random.default_rng(seed)
    rates = [np.stack(arm) for arm in zip(*(traffic.rates(rng) for _ in range(runs)), strict=True)]
    shares = traffic.requests_per_second * np.array(
        [weight, 1.0 - weight if whole_control else min(weight, 1.0 - weight)]
    )
    state = _Batch(runs, 1 + (len(SLOW_SHARES) if latency else 0), Caution.of(burst_s, alpha), exact=exact)
    detected = np.full(runs, -1, dtype=np.int64)
    requests = np.zeros(runs, dtype=np.int64)
    peak = np.full(runs, -np.inf)
    for second in range(traffic.seconds):
        n = rng.poisson(shares, size=(runs, 2))
        bad = np.stack([rng.binomial(n[:, arm], rates[arm][:, second]) for arm in (0, 1)], axis=1)
        x = [bad, *(_slow(n, rng) if latency else ())]
        state.second(float(second), n, np.stack(x, axis=1))
        running = detected < 0
        requests[running & (second >= traffic.onset_s)] += n[running & (second >= traffic.onset_s), 0]
        state.raise_to(peak)
        reached = running & (peak >= math.log(1.0 / alpha))
        detected[reached] = second + 1
        if progress is not None and second % 60 == 0:
            progress(second, traffic.seconds)
        if not (detected < 0).any():
            break
    return Study(detected_s=detected, canary_requests=requests, log_peak=peak)


def _slow(n: Counts, rng: Generator) -> list[Counts]:
    """Requests beyond each threshold; those beyond a higher one are among those beyond the lower."""
    found, beyond, before = [], n, 1.0
    for share in SLOW_SHARES:
        beyond = rng.binomial(beyond, share / before)
        before = share
        found.append(beyond)
    return found


class _Batch:
    """The evidence of harm of many runs: events on the second axis, the grid on the last."""

    def __init__(self, runs: int, events: int, caution: Caution, *, exact: bool) -> None:
        self._caution, self._exact = caution, exact
        self._wealth = Wealth.begin(HarmProcess(event=FAILURE, bet=ODDS), caution, (runs, events))
        self._n = np.zeros((runs, 2), dtype=np.int64)
        self._x = np.zeros((runs, events, 2), dtype=np.int64)
        self._opened = np.zeros(runs)
        self._slice_at = self._start_at = 0.0
        self._starts = 0
        self._table = np.empty((4096, ODDS.size))
        self._filled = 0
        self._known: dict[int, int] = {}
        # As a plan with one error guardrail and one latency guardrail weighs them.
        self._weights = np.array([1.0] if events == 1 else [0.625] + [0.375 / (events - 1)] * (events - 1))

    def second(self, now: float, n: Counts, x: Counts) -> None:
        self._pass_time(now)
        self._n += n
        self._x += x
        total = self._n.sum(axis=1)
        self._opened[total == 0] = now
        due = (total >= BLOCK_REQUESTS) | ((total > 0) & (now - self._opened >= BLOCK_SECONDS))
        rows = np.flatnonzero(due)
        if len(rows):
            increments = np.zeros_like(self._wealth.pending)
            increments[rows] = self._increments(self._n[rows], self._x[rows])
            self._wealth = self._wealth.absorb(increments)
            self._n[rows], self._x[rows], self._opened[rows] = 0, 0, now

    def raise_to(self, peak: Floats) -> None:
        """Bring *peak*, shape (runs,), up to the combined log e where that is larger now."""
        values = self._wealth.values(self._caution)
        # A mean is no larger than its largest part, so few runs have to be worked out.
        rows = np.flatnonzero(values.max(axis=(1, 2)) > peak)
        if len(rows):
            log_e = log_sum_exp(ODDS.log_e_of(values[rows]) + np.log(self._weights))
            peak[rows] = np.maximum(peak[rows], log_e)

    def _pass_time(self, now: float) -> None:
        due = now - self._start_at >= START_SECONDS
        slice_s = self._caution.slice_s
        ended = int((now - self._slice_at) // slice_s) if slice_s > 0 else int(due)
        for _ in range(ended):
            self._wealth = self._wealth.close(self._caution)
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
