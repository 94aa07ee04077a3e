"""What is kept of a stage for people to look at: how requests ended, latencies, means of metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from control.judgement.evidence import ArmCounts, Evidence, Raw
from control.judgement.tallying import latency_of
from control.plans.plan import RolloutPlan
from control.stats.events import LATENCIES, Source
from control.stats.latency import quantile_name, summary
from proxy.metric_counts import UNREADABLE, VALUES
from proxy.outcomes import OUTCOME_NAMES

# Levels at which latency is shown whatever the guardrails ask, and the level of its intervals.
SHOWN_QUANTILES: Final = (0.5, 0.95, 0.99)
SHOWN_ALPHA: Final = 0.05
# Quantiles are for people to look at, so they need not be as fresh as what decides.
SHOWN_SECONDS: Final = 5.0


def shown_latency(plan: RolloutPlan, canary: ArmCounts, control: ArmCounts) -> dict[str, Any]:
    """By source, arm and quantile: [seconds, low, high]."""
    asked = [event for event in plan.events if event.source in LATENCIES]
    levels = sorted({*SHOWN_QUANTILES, *(event.quantile for event in asked)})
    names = [quantile_name(level) for level in levels]
    array = np.array(levels)
    return {
        source.name.lower(): {
            name: dict(zip(names, summary(counts, array, SHOWN_ALPHA), strict=True))
            for name, counts in (
                ("canary", latency_of(source, canary)),
                ("control", latency_of(source, control)),
            )
            if counts is not None
        }
        for source in {Source.TOTAL, *(event.source for event in asked)}
    }


def shown_outcomes(canary: ArmCounts, control: ArmCounts) -> dict[str, dict[str, int]]:
    """By arm: requests by the name of their outcome, without those that nobody had, and those set aside."""
    return {
        arm: {name: count for name, count in zip(OUTCOME_NAMES, counts.judged, strict=True) if count}
        | ({"set_aside": sum(counts.aside)} if counts.aside else {})
        for arm, counts in (("canary", canary), ("control", control))
    }


def shown_metrics(plan: RolloutPlan, canary: ArmCounts, control: ArmCounts) -> dict[str, list[int]]:
    """By metric: values, sum and sum of squares of the canary, then of control (`proxy.metric_counts`)."""
    if canary.metrics is None or control.metrics is None:
        return {}
    return {
        metric.label: [
            int(cell)
            for counts in (canary.metrics, control.metrics)
            for cell in counts[metric.place, VALUES:UNREADABLE]
        ]
        for metric in plan.metrics
    }


def with_quantiles(
    evidence: Evidence, plan: RolloutPlan, canary: ArmCounts, control: ArmCounts, now: float
) -> Evidence:
    """The evidence with quantiles for people to look at, of counts that have been taken in.

    They decide nothing, so only an analysis asks for them.
    """
    schedule, ledger = evidence.schedule, evidence.current
    if ledger is None or ledger.raw != Raw.of(canary, control):
        return evidence
    if evidence.latency and schedule.shown_at is not None and now - schedule.shown_at < SHOWN_SECONDS:
        return evidence
    return replace(
        evidence,
        latency=shown_latency(plan, canary, control),
        schedule=replace(schedule, shown_at=now),
    )
