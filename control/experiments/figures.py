"""What an experiment's metric is in each arm, and by how much a variant is better, with intervals. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from control.counts import quantile_seconds
from control.experiments.comparison import Comparison
from control.experiments.metric import Metric, Unit
from control.guardrails.metric import LOWER
from control.judgement.evidence import ArmCounts
from control.judgement.tallying import latency_of
from control.metrics import RouteMetric
from control.stats.latency import summary
from control.stats.means import VALUES_MIN, half_width, mean_difference
from control.stats.sequences import proportion_interval
from proxy.histogram import BUCKETS, bucket_upper_edge
from proxy.metric_counts import UNIT, UNREADABLE, VALUES

Figure = dict[str, float | None]
_SHOWN: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
# The last bucket has no upper end.
_LATENCY_MAX: Final = bucket_upper_edge(BUCKETS - 2)
_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What a variant has counted since the experiment began."""

    name: str
    requests: int
    failures: int
    mean_latency: float | None
    """Of its answers, in seconds."""
    counts: ArmCounts

    def to_json(self, metric: Metric, alpha: float) -> dict[str, Any]:
        """Plain JSON values; intervals hold at every look."""
        low, high = proportion_interval(self.failures, self.requests, alpha)
        return {
            "name": self.name,
            "requests": self.requests,
            "failures": self.failures,
            "success_rate": 1.0 - self.failures / self.requests if self.requests else None,
            "interval": [1.0 - high, 1.0 - low] if self.requests else None,
            "mean_latency": self.mean_latency,
            "latency": {name: quantile_seconds(self.counts.total, level) for name, level in _SHOWN},
            "metric": self.measure(metric, alpha),
        }

    def measure(self, metric: Metric, alpha: float) -> dict[str, Any]:
        """Value, interval and number of requests that an experiment's metric has here."""
        if metric.unit is Unit.SHARE:
            n = self.requests
            low, high = proportion_interval(self.failures, n, alpha)
            return {
                "value": 1.0 - self.failures / n if n else None,
                "low": 1.0 - high if n else None,
                "high": 1.0 - low if n else None,
                "n": n,
                "events": n - self.failures,
            }
        if metric.value is not None:
            return _mean(metric.value, self.counts, alpha)
        histogram = latency_of(metric.source, self.counts)
        if histogram is None or not histogram.any():
            return {"value": None, "low": None, "high": None, "n": 0}
        ((value, least, most),) = summary(histogram, np.array([metric.level]), alpha)
        if most is not None and most >= _LATENCY_MAX:
            most = None
        return {"value": value, "low": least, "high": most, "n": int(histogram.sum())}


def improvement(
    metric: Metric, comparison: Comparison, arm: Arm, control: Arm, alpha: float
) -> dict[str, Any]:
    """By how much a variant is better than control, positive when it is.

    `absolute` is in the metric's unit, `relative` a share of what control has; each has its own interval,
    which holds at every look with the confidence that is asked for. Where one is made of two others, each of
    these spends half of alpha. `state` is `no_data` before there is a figure, and `not_enough_data` while an
    interval has an open end.
    """
    if metric.unit is Unit.SHARE:
        absolute, relative = _of_rates(comparison, control, alpha)
        known = absolute["value"] is not None and (absolute["low"], absolute["high"]) != (-1.0, 1.0)
    elif metric.value is None:
        mine, other = (each.measure(metric, alpha / 2.0) for each in (arm, control))
        absolute, relative = _of_quantiles(mine, other)
        known = None not in (*absolute.values(), *relative.values())
    else:
        absolute, relative = _of_means(metric, arm.counts, control.counts, alpha)
        known = None not in absolute.values()
    state = "no_data" if absolute["value"] is None else "ok" if known else "not_enough_data"
    return {"state": state, "unit": metric.unit.value, "absolute": absolute, "relative": relative}


def _figure(value: float | None, low: float | None, high: float | None) -> Figure:
    return {"value": value, "low": low, "high": high}


def _of_rates(comparison: Comparison, control: Arm, alpha: float) -> tuple[Figure, Figure]:
    """Of failures; an improvement is what there are fewer of."""
    failures = comparison.failures
    low, high = failures.difference_interval(alpha)
    difference = failures.tally.difference
    absolute = _figure(None if difference is None else -difference, -high, -low)
    if not control.requests:
        return absolute, _figure(None, None, None)
    rate = 1.0 - control.failures / control.requests
    low, high = proportion_interval(control.failures, control.requests, alpha / 2.0)
    rates = (max(_TINY, 1.0 - high), max(_TINY, 1.0 - low))
    differences = failures.difference_interval(alpha / 2.0)
    ends = [-end / base for end in differences for base in rates]
    value = None if difference is None or rate <= 0 else -difference / rate
    return absolute, _figure(value, min(ends), max(ends))


def _of_quantiles(mine: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Figure, Figure]:
    """Of two quantiles in seconds, each with its interval."""
    if mine["value"] is None or other["value"] is None:
        return _figure(None, None, None), _figure(None, None, None)
    value = other["value"] - mine["value"]
    low = None if mine["high"] is None else other["low"] - mine["high"]
    high = None if other["high"] is None else other["high"] - mine["low"]
    least = None if mine["high"] is None or other["low"] <= 0 else 1.0 - mine["high"] / other["low"]
    most = None if other["high"] is None else 1.0 - mine["low"] / other["high"]
    return _figure(value, low, high), _figure(value / other["value"], least, most)


def _of_means(metric: Metric, variant: ArmCounts, control: ArmCounts, alpha: float) -> tuple[Figure, Figure]:
    value = metric.value
    assert value is not None
    mine, other = _sums(value, variant), _sums(value, control)
    if not mine[0] or not other[0]:
        return _figure(None, None, None), _figure(None, None, None)
    width, sign = value.high - value.low, 1.0 if metric.direction == LOWER else -1.0
    base = value.low + width * other[1] / other[0]
    difference = sign * width * (mine[1] / mine[0] - other[1] / other[0])
    ends = _ends(mine, other, alpha, sign * width)
    absolute = _figure(difference, *ends)
    halves = _ends(mine, other, alpha / 2.0, sign * width)
    around = _mean(value, control, alpha / 2.0)
    relative = _figure(difference / abs(base) if base else None, None, None)
    if None not in (*halves, around["low"]) and around["low"] * around["high"] > 0:
        bases = [abs(around["low"]), abs(around["high"])]
        corners = [end / each for end in halves if end is not None for each in bases]
        relative |= {"low": min(corners), "high": max(corners)}
    return absolute, relative


def _ends(
    mine: tuple[int, float, float], other: tuple[int, float, float], alpha: float, scale: float
) -> tuple[float | None, float | None]:
    found = mean_difference(mine, other, alpha)
    if found is None:
        return None, None
    ends = sorted((found[1] * scale, found[2] * scale))
    return ends[0], ends[1]


def _sums(value: RouteMetric, counts: ArmCounts) -> tuple[int, float, float]:
    """How many values, and the sums of their places between the ends and of these squared."""
    if counts.metrics is None:
        return 0, 0.0, 0.0
    n, total, squares = counts.metrics[value.place, VALUES:UNREADABLE].tolist()
    return n, total / UNIT, squares / UNIT


def _mean(value: RouteMetric, counts: ArmCounts, alpha: float) -> dict[str, Any]:
    n, total, squares = _sums(value, counts)
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0}
    width, mean = value.high - value.low, total / n
    middle = value.low + width * mean
    if n < VALUES_MIN:
        return {"value": middle, "low": None, "high": None, "n": n}
    half = width * half_width(max(0.0, squares / n - mean * mean), n, alpha)
    return {"value": middle, "low": middle - half, "high": middle + half, "n": n}
