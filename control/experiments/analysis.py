"""What an experiment says at one moment: arms, improvement with intervals, and a verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from control.audit.canonical import canonical
from control.counts import Counts, quantile_seconds
from control.experiments.comparison import Comparison
from control.experiments.experiment import Experiment
from control.stats.intervals import one_look
from control.stats.power import rollback_requests
from control.stats.sample_ratio import LOG_MISMATCH, sample_ratio_log_e
from control.stats.sequences import difference_interval, proportion_interval, ratio_interval

# Half of the difference that has been seen is what one would like to know next.
_REQUESTS_MIN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What a variant has counted since the experiment began."""

    name: str
    requests: int
    failures: int
    mean_latency: float | None
    """Of its answers, in seconds."""
    counts: Counts

    def to_json(self, alpha: float) -> dict[str, Any]:
        """Plain JSON values; the interval of the success rate holds at every look."""
        low, high = proportion_interval(self.failures, self.requests, alpha)
        total = self.counts.total
        return {
            "name": self.name,
            "requests": self.requests,
            "failures": self.failures,
            "success_rate": 1.0 - self.failures / self.requests if self.requests else None,
            "interval": [1.0 - high, 1.0 - low] if self.requests else None,
            "mean_latency": self.mean_latency,
            "latency": {
                name: quantile_seconds(total, level)
                for name, level in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            },
        }


def analyse(
    experiment: Experiment, arms: Mapping[str, Arm], *, units: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """The analysis as plain JSON.

    Args:
        arms: by variant.
        units: by treatment, how many independent units it and control have had; requests of one key are one.
    """
    alpha = experiment.alpha / max(1, len(experiment.treatments))
    found = [
        _treatment(experiment, name, arms[name], arms[experiment.control], units.get(name), alpha)
        for name in experiment.treatments
    ]
    verdicts = {one["verdict"] for one in found}
    needed = [one["needed"] for one in found if one["verdict"] in ("no_data", "inconclusive")]
    value = {
        "test": experiment.id,
        "name": experiment.name,
        "status": experiment.status.name.lower(),
        "alpha": experiment.alpha,
        "confidence": 1.0 - experiment.alpha,
        "significant": bool(verdicts & {"better", "worse"}),
        "winner": _winner(found),
        "control": arms[experiment.control].to_json(alpha),
        "treatments": found,
        "needed": None if None in needed else max(needed, default=0),
        "reason": "; ".join(one["reason"] for one in found),
    }
    plain: dict[str, Any] = orjson.loads(canonical(value))
    return plain


def _treatment(
    experiment: Experiment,
    name: str,
    arm: Arm,
    control: Arm,
    units: tuple[float, float] | None,
    alpha: float,
) -> dict[str, Any]:
    comparison = experiment.comparisons.get(name, Comparison())
    low, high = difference_interval(comparison.differences, alpha)
    difference = comparison.tally.difference
    # Of failures; an improvement is what there are fewer of.
    absolute = {"value": _negated(difference), "low": -high, "high": -low}
    ratio = _ratio_check(experiment, name, units)
    verdict, reason = _verdict(experiment, name, comparison, (low, high), alpha, ratio)
    (n, m), (x, y) = comparison.taken.n, comparison.taken.x
    return {
        **arm.to_json(alpha),
        "verdict": verdict,
        "reason": reason,
        "improvement": {"absolute": absolute, "relative": _relative(comparison, control, alpha)},
        "failure_ratio": dict(
            zip(
                ("value", "low", "high"),
                (comparison.tally.ratio, *ratio_interval(comparison.ratios, alpha)),
                strict=True,
            )
        ),
        "log_e_better": comparison.log_e_better,
        "log_e_worse": comparison.log_e_worse,
        "threshold": 2.0 / alpha,
        "anytime_p": min(1.0, 2.0 * math.exp(-max(comparison.log_e_better, comparison.log_e_worse))),
        "sample_ratio": ratio,
        "needed": _needed(experiment, name, comparison, alpha),
        "one_look": one_look(x, n, y, m, 1.0 - experiment.alpha),
    }


def _verdict(
    experiment: Experiment,
    name: str,
    comparison: Comparison,
    interval: tuple[float, float],
    alpha: float,
    ratio: Mapping[str, Any],
) -> tuple[str, str]:
    (n, m), (x, y) = comparison.taken.n, comparison.taken.x
    figures = f"{name} failed {x} of {n}, {experiment.control} {y} of {m}"
    if not n or not m:
        return "no_data", f"{figures}: there is nothing to compare yet"
    if ratio["mismatch"]:
        return "invalid", f"{figures}, but {ratio['reason']}"
    limit = math.log(2.0 / alpha)
    if comparison.log_e_better >= limit:
        return "better", f"{figures}: {name} is better (e-value {_e(comparison.log_e_better)})"
    if comparison.log_e_worse >= limit:
        return "worse", f"{figures}: {name} is worse (e-value {_e(comparison.log_e_worse)})"
    if experiment.margin is not None and -experiment.margin < interval[0] and interval[1] < experiment.margin:
        return "equivalent", f"{figures}: they differ by less than {experiment.margin * 100:g} points"
    return "inconclusive", f"{figures}: not enough to tell them apart"


def _ratio_check(experiment: Experiment, name: str, units: tuple[float, float] | None) -> dict[str, Any]:
    """Whether the variant got the share that was set; judged by independent units, not by requests."""
    mine, other = experiment.variants[name], experiment.variants[experiment.control]
    share = mine / (mine + other)
    if units is None or sum(units) < _REQUESTS_MIN:
        return {"state": "no_data", "share": share, "log_e": 0.0, "mismatch": False, "reason": ""}
    n, m = (round(each) for each in units)
    log_e = sample_ratio_log_e(n, m, share)
    observed = n / (n + m) if n + m else None
    mismatch = log_e >= LOG_MISMATCH
    return {
        "state": "ok",
        "share": share,
        "observed": observed,
        "units": [n, m],
        "log_e": log_e,
        "mismatch": mismatch,
        "reason": f"{name} got {observed or 0:.2%} of the keys where {share:.2%} was set" if mismatch else "",
    }


def _relative(comparison: Comparison, control: Arm, alpha: float) -> dict[str, float | None]:
    """The improvement as a share of control's success rate.

    Its interval takes the corners of two others, that of the difference and that of the rate. Each spends
    half of alpha, so that both hold at once with the confidence that is asked for.
    """
    if not control.requests:
        return {"value": None, "low": None, "high": None}
    rate = 1.0 - control.failures / control.requests
    low, high = proportion_interval(control.failures, control.requests, alpha / 2.0)
    rates = (max(1e-9, 1.0 - high), max(1e-9, 1.0 - low))
    differences = difference_interval(comparison.differences, alpha / 2.0)
    ends = [-difference / base for difference in differences for base in rates]
    difference = comparison.tally.difference
    return {
        "value": None if difference is None or rate <= 0 else -difference / rate,
        "low": min(ends),
        "high": max(ends),
    }


def _needed(experiment: Experiment, name: str, comparison: Comparison, alpha: float) -> int | None:
    """About how many more requests of the variant would tell, if what was seen is what there is."""
    (n, m), (x, y) = comparison.taken.n, comparison.taken.x
    if n < _REQUESTS_MIN or m < _REQUESTS_MIN or x + y == 0:
        return None
    p, q = x / n, y / m
    mine, other = experiment.variants[name], experiment.variants[experiment.control]
    rho = mine / (mine + other)
    if p == q:
        return None
    if p > q:
        whole = rollback_requests(max(q, 0.5 / m), p, rho, alpha / 2.0)
    else:
        # The roles are turned round; requests of control become those of the variant by the shares.
        whole = rollback_requests(max(p, 0.5 / n), q, 1.0 - rho, alpha / 2.0) * mine / other
    return max(0, math.ceil(whole - n)) if math.isfinite(whole) else None


def _winner(found: list[dict[str, Any]]) -> str:
    """The best of those that are better than control; control when all others are worse."""
    better = [one for one in found if one["verdict"] == "better"]
    if better:
        return str(max(better, key=lambda one: one["improvement"]["absolute"]["value"] or 0.0)["name"])
    return "control" if found and all(one["verdict"] == "worse" for one in found) else ""


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


def _e(log_e: float) -> str:
    return f"{math.exp(min(log_e, 50.0)):.3g}"
