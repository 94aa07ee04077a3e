"""Feeds counts to an analysis second by second, as the control loop would."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

import numpy as np

from control.judgement.analysis import Analysis, analyse
from control.judgement.evidence import ArmCounts, Evidence
from control.judgement.observation import observe
from control.judgement.view import EvidenceView
from control.plans.plan import RolloutPlan
from proxy.histogram import BUCKETS, EDGES_US
from proxy.outcomes import OUTCOMES, Outcome

LATENCY_S = 0.05


class Arm:
    """Cumulative counts of one arm in one stage."""

    def __init__(self) -> None:
        self.started = self.finished = self.failed = self.diverted = self.lost = 0
        self.outcomes = [0] * OUTCOMES
        self.total = np.zeros(BUCKETS, dtype=np.int64)

    def serve(
        self,
        n: int,
        failed: int = 0,
        *,
        latency_s: float = LATENCY_S,
        slow: int = 0,
        slow_s: float = 1.0,
        aborted: int = 0,
        hanging: int = 0,
    ) -> None:
        """Start n requests: some fail, some are slow, some are aborted, some do not end yet."""
        good = n - failed - aborted - hanging
        self.started += n
        self.finished += n - hanging
        self.failed += failed
        self.outcomes[Outcome.UPSTREAM_5XX] += failed
        self.outcomes[Outcome.CLIENT_ABORT] += aborted
        self.outcomes[Outcome.OK] += good
        self.total[bucket(latency_s)] += good - slow
        self.total[bucket(slow_s)] += slow

    def end(self, failed: int) -> None:
        """Requests that were hanging fail now."""
        self.finished += failed
        self.failed += failed
        self.outcomes[Outcome.TIMEOUT_FIRST_BYTE] += failed

    def answer(self, n: int, *, slow: int = 0) -> None:
        """Requests that were hanging are answered now, some of them slowly."""
        self.finished += n
        self.outcomes[Outcome.OK] += n
        self.total[bucket(LATENCY_S)] += n - slow
        self.total[bucket(1.0)] += slow

    def counts(self, **more: Any) -> ArmCounts:
        """What a report of them looks like."""
        return ArmCounts(
            started=self.started,
            finished=self.finished,
            failed=self.failed,
            outcomes=tuple(self.outcomes),
            total=self.total.copy(),
            first_byte=self.total.copy(),
            diverted=self.diverted,
            lost=self.lost,
            **more,
        )


def bucket(seconds: float) -> int:
    """The histogram bucket of a latency."""
    return bisect_left(EDGES_US, math.floor(seconds * 1e6))


class Feeder:
    """One rollout's evidence, fed with a tick a second."""

    def __init__(self, config: Mapping[str, Any] | RolloutPlan, *, stage: str = "r:0:1") -> None:
        self.plan = config if isinstance(config, RolloutPlan) else RolloutPlan.from_config(config)
        self.evidence = Evidence.empty()
        self.now = 0.0
        self.begin(stage)

    def begin(self, stage: str) -> None:
        """Begin a stage with new counts."""
        self.stage, self.canary, self.control = stage, Arm(), Arm()

    def tick(
        self,
        n_c: int = 0,
        n_t: int = 0,
        x_c: int = 0,
        x_t: int = 0,
        *,
        seconds: float = 1.0,
        share: float | None = None,
    ) -> None:
        """Let some requests come in, then report."""
        self.canary.serve(n_c, x_c)
        self.control.serve(n_t, x_t)
        self.report(seconds=seconds, share=share)

    def report(self, *, seconds: float = 1.0, share: float | None = None) -> None:
        """Report what the arms have counted."""
        self.now += seconds
        self.evidence = observe(
            self.evidence,
            self.plan,
            stage=self.stage,
            canary=self.canary.counts(),
            control=self.control.counts(),
            now=self.now,
            share=share,
        )

    def analyse(self, step: int | None = None) -> Analysis:
        """The analysis now."""
        return analyse(self.evidence, self.plan, self.now, step=step)

    def view(self, step: int | None = None) -> EvidenceView:
        """The evidence as guardrails see it."""
        return EvidenceView(self.evidence, self.plan, step)
