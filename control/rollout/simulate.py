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
from control.judgement.observation import observe
from control.plans.plan import RolloutPlan
from control.rollout.batch import WITH_LATENCY, Arrivals, Batch, Study, watch
from control.rollout.machine import Decision, Rollout, State, advance, weight
from control.stats.sample_ratio import expected_share
from control.stats.wealth import Caution
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
    both_alike = np.array((SLOW_SHARES, SLOW_SHARES))

    def arrivals(second: int) -> Arrivals:
        n = rng.poisson(shares, size=(runs, 2))
        bad = np.stack([rng.binomial(n[:, arm], rates[arm][:, second]) for arm in (0, 1)], axis=1)
        x = bad[:, None, :]
        return Arrivals(n=n, x=np.concatenate((x, slow(n, both_alike, rng)), axis=1) if latency else x)

    batch = Batch(runs, WITH_LATENCY if latency else (1.0,), Caution.of(burst_s, alpha), exact=exact)
    return watch(
        batch,
        arrivals,
        seconds=traffic.seconds,
        alpha=alpha,
        onset_s=traffic.onset_s,
        progress=progress,
    )


def slow(n: Counts, beyond: Floats, rng: Generator) -> Counts:
    """Requests beyond each threshold, shape (runs, 5, 2): those beyond a higher one are beyond a lower.

    Args:
        n: requests by run and arm, shape (runs, 2).
        beyond: their shares by arm and threshold, falling, shape (2, 5) or (runs, 2 or 1, 5).
    """
    found, left = [], n
    before = np.ones_like(beyond[..., 0])
    for level in range(beyond.shape[-1]):
        share = beyond[..., level]
        left = rng.binomial(left, np.divide(share, before, out=np.zeros_like(share), where=before > 0))
        before = share
        found.append(left)
    return np.stack(found, axis=1)
