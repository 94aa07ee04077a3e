"""What a plan would do: how long harm takes to be found, how often it is seen where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from control.plans.plan import RolloutPlan
from control.rollout.batch import Study
from control.rollout.simulate import Traffic, run_once, study
from control.stats.intervals import wilson
from control.stats.power import (
    fixed_requests,
    promotion_requests,
    rollback_limit,
    rollback_requests,
)
from control.stats.sample_ratio import expected_share

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What many simulated runs at one weight, and one whole rollout, came to. Times are seconds."""

    runs: int
    seed: int
    weight: float
    detected: int
    detection_s: tuple[float, float] | None
    """Median and 90th percentile of those that were detected."""
    canary_requests: tuple[float, float] | None
    false_alarms: int
    false_alarm_rate: tuple[float, float, float]
    """Share of runs without any harm, and its Wilson interval at 95 %."""
    course: tuple[tuple[float, str, float], ...]
    """Of one whole rollout with the effect: second, decision, weight after it."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "runs": self.runs,
            "seed": self.seed,
            "weight": self.weight,
            "detected": self.detected,
            "detection_seconds": _pair(self.detection_s),
            "canary_requests": _pair(self.canary_requests),
            "false_alarms": self.false_alarms,
            "false_alarm_rate": dict(zip(("value", "low", "high"), self.false_alarm_rate, strict=True)),
            "course": [{"at": at, "decision": kind, "weight": weight} for at, kind, weight in self.course],
        }


def forecast(
    plan: RolloutPlan,
    traffic: Traffic,
    *,
    weight: float,
    runs: int,
    seed: int,
    progress: Progress | None = None,
) -> Forecast:
    """Simulate *runs* rollouts that stay at *weight*, with the effect and without it, and one that ramps.

    Args:
        progress: called with what is done and what there is, over all three parts.
    """
    total = 3 * traffic.seconds

    def part(number: int) -> Progress | None:
        if progress is None:
            return None
        return lambda done, _: progress(number * traffic.seconds + done, total)

    share = {"runs": runs, "weight": weight, "alpha": plan.alpha, "burst_s": plan.burst_s, "exact": False}
    harmed = study(traffic, seed=seed, progress=part(0), **share)  # type: ignore[arg-type]
    sound = replace(traffic, canary_rate=traffic.control_rate)
    alike = study(sound, seed=seed + 1, progress=part(1), **share)  # type: ignore[arg-type]
    run = run_once(plan, traffic, seed, progress=part(2))
    if progress is not None:
        progress(total, total)
    alarms = int((alike.detected_s >= 0).sum())
    low, high = wilson(alarms, runs)
    return Forecast(
        runs=runs,
        seed=seed,
        weight=weight,
        detected=int((harmed.detected_s >= 0).sum()),
        detection_s=_spread(harmed, harmed.detected_s - traffic.onset_s),
        canary_requests=_spread(harmed, harmed.canary_requests),
        false_alarms=alarms,
        false_alarm_rate=(alarms / runs, low, high),
        course=tuple((d.at, d.kind.name.lower(), d.to_weight) for d in run.decisions),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """About how many requests decisions take at given rates. Numbers are canary requests; inf = never."""

    control_rate: float
    canary_rate: float
    weight: float
    alpha: float
    alpha_promote: float
    rollback: float
    rollback_least: float
    """What no test can undercut that has to learn control's rate meanwhile."""
    promote: float
    """If the canary is as good as control: to show that it is within the margin."""
    fixed: float
    """What one look at the end would need at 80 % power, with as many control requests."""
    burst_s: float = 0.0
    """The plan's, which `rollback` leaves out: with it a rollback takes several times as many requests."""
    requests_per_second: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what never happens is null."""
        pace = None if self.requests_per_second is None else self.requests_per_second * self.weight
        found: dict[str, Any] = {
            "control_rate": self.control_rate,
            "canary_rate": self.canary_rate,
            "weight": self.weight,
            "alpha": self.alpha,
            "alpha_promote": self.alpha_promote,
            "burst_seconds": self.burst_s,
            "requests_per_second": self.requests_per_second,
        }
        for name in ("rollback", "rollback_least", "promote", "fixed"):
            requests = getattr(self, name)
            finite = math.isfinite(requests)
            found[name] = {
                "canary_requests": math.ceil(requests) if finite else None,
                "seconds": requests / pace if finite and pace else None,
            }
        return found


def power(
    plan: RolloutPlan,
    *,
    control_rate: float,
    canary_rate: float,
    weight: float,
    requests_per_second: float | None = None,
) -> Power:
    """What *plan*'s error budgets cost at these rates, the canary having *weight* of the requests.

    The budget is taken as one guardrail's; several that share it take a little longer.
    """
    rho = expected_share(weight)
    harm = canary_rate > control_rate
    margins = plan.margins
    return Power(
        control_rate=control_rate,
        canary_rate=canary_rate,
        weight=weight,
        alpha=plan.alpha,
        alpha_promote=plan.alpha_promote,
        burst_s=plan.burst_s,
        rollback=rollback_requests(control_rate, canary_rate, rho, plan.alpha) if harm else math.inf,
        rollback_least=rollback_limit(control_rate, canary_rate, rho, plan.alpha) if harm else math.inf,
        promote=promotion_requests(
            control_rate, margins.promote_ratio, margins.promote_rise, plan.alpha_promote
        ),
        fixed=fixed_requests(control_rate, canary_rate, (1.0 - rho) / rho, plan.alpha) if harm else math.inf,
        requests_per_second=requests_per_second,
    )


def _spread(found: Study, values: Any) -> tuple[float, float] | None:
    chosen = values[found.detected_s >= 0]
    if not len(chosen):
        return None
    return float(np.median(chosen)), float(np.quantile(chosen, 0.9))


def _pair(values: tuple[float, float] | None) -> dict[str, float] | None:
    return None if values is None else {"median": values[0], "p90": values[1]}
