"""What an experiment says at one moment: arms, improvement with intervals, and a verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from control.audit.canonical import canonical
from control.experiments.comparison import Bets, Comparison
from control.experiments.experiment import Experiment
from control.experiments.figures import Arm, improvement
from control.experiments.metric import Metric, Unit
from control.guardrails.words import about, e_value, number, seconds
from control.stats.events import Event
from control.stats.intervals import one_look
from control.stats.latency import UPPER_EDGES
from control.stats.power import rollback_requests
from control.stats.sample_ratio import LOG_MISMATCH, sample_ratio_log_e

_REQUESTS_MIN: Final = 20


def analyse(
    experiment: Experiment, arms: Mapping[str, Arm], *, units: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """The analysis as plain JSON.

    Args:
        arms: by variant.
        units: by treatment, how many independent units it and control have had; requests of one key are one.
    """
    alpha = experiment.alpha_each
    metric = experiment.metric
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
        "metric": metric.text,
        "unit": metric.unit.value,
        "worse": metric.direction,
        "alpha": experiment.alpha,
        "confidence": 1.0 - experiment.alpha,
        "significant": bool(verdicts & {"better", "worse", "mixed"}),
        "winner": _winner(found),
        "control": arms[experiment.control].to_json(metric, alpha),
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
    metric = experiment.metric
    comparison = experiment.comparisons.get(name, Comparison())
    better, worse = (comparison.log_e(metric, better=way) for way in (True, False))
    peak = max(comparison.peak(metric, better=way) for way in (True, False))
    better_by = improvement(metric, comparison, arm, control, alpha)
    ratio = _ratio_check(experiment, name, units)
    shown = arm.to_json(metric, alpha)
    figures = _figures(metric, comparison, arm, control, alpha)
    failures = comparison.failures
    verdict, reason = _verdict(experiment, name, comparison, better_by, ratio)
    telling = _telling(metric, comparison).tally
    return {
        **shown,
        "verdict": verdict,
        "reason": f"{figures}{reason}",
        "improvement": better_by,
        "failure_ratio": dict(
            zip(
                ("value", "low", "high"),
                (failures.tally.ratio, *failures.ratio_interval(alpha)),
                strict=True,
            )
        ),
        "beyond": [_beyond(metric, comparison, event) for event in metric.events if event.threshold],
        "log_e_better": better,
        "log_e_worse": worse,
        "log_e_peak": peak,
        "threshold": 2.0 / alpha,
        "anytime_p": min(1.0, 2.0 * math.exp(-peak)),
        "decided_at": _decided_at(verdict, comparison),
        "sample_ratio": ratio,
        "needed": _needed(experiment, name, comparison, alpha),
        "one_look": one_look(
            *(telling.x_canary, telling.n_canary, telling.x_control, telling.n_control),
            1.0 - experiment.alpha,
        ),
    }


def _figures(metric: Metric, comparison: Comparison, arm: Arm, control: Arm, alpha: float) -> str:
    """The metric of both arms in words."""
    if metric.unit is Unit.SHARE:
        (n, m), (x, y) = comparison.n, comparison.failures.x
        return f"{arm.name} failed {x} of {n}, {control.name} {y} of {m}"
    show = seconds if metric.unit is Unit.SECONDS else number
    mine, other = (each.measure(metric, alpha) for each in (arm, control))
    return (
        f"{metric.name}: {arm.name} {show(mine['value'])} of {mine['n']},"
        f" {control.name} {show(other['value'])} of {other['n']}"
    )


def _verdict(
    experiment: Experiment,
    name: str,
    comparison: Comparison,
    better_by: Mapping[str, Any],
    ratio: Mapping[str, Any],
) -> tuple[str, str]:
    """The verdict, and what is to be said behind the figures.

    Better and worse are decided once, by the largest e-values there have been (`Comparison.peak`). What says
    that there is *no* difference, or that the shares are wrong, follows the data: the one is a claim about
    all of them, and independent units, which the other needs, are estimated from few keys at first.
    """
    metric = experiment.metric
    if not all(comparison.n):
        return "no_data", ": there is nothing to compare yet"
    if experiment.metric_lost:
        return "invalid", f", but {experiment.metric_lost}"
    tallies = [comparison.of(event).tally for event in metric.events]
    if not any(tally.n_canary and tally.n_control for tally in tallies):
        return "no_data", f": too little yet to know {experiment.control}'s {metric.name}"
    if ratio["mismatch"]:
        return "invalid", f", but {ratio['reason']}"
    limit = experiment.log_threshold
    better, worse = (comparison.peak(metric, better=way) for way in (True, False))
    if better >= limit and worse >= limit:
        where = "values (see beyond)" if len(metric.events) > 1 else "times"
        return "mixed", f": {name} has both better and worse {where}"
    for way, peak in (("better", better), ("worse", worse)):
        if peak >= limit:
            since = comparison.reached.get(way)
            when = "" if since is None else f", decided {datetime.fromtimestamp(since, UTC):%F %T} UTC"
            return way, f": {name} is {way} (e-value {e_value(peak)}{when})"
    margin = experiment.margin
    shown = better_by["relative" if metric.unit is Unit.SECONDS else "absolute"]
    if (
        margin is not None
        and None not in (shown["low"], shown["high"])
        and -margin < shown["low"]
        and shown["high"] < margin
    ):
        return "equivalent", f": they differ by less than {_margin(metric, margin)}"
    return "inconclusive", ": not enough to tell them apart"


def _decided_at(verdict: str, comparison: Comparison) -> float | None:
    """When the verdict was first there, in Unix seconds; None where none stays or it is not known."""
    if verdict == "mixed":
        return max(comparison.reached.values(), default=None)
    return comparison.reached.get(verdict)


def _margin(metric: Metric, margin: float) -> str:
    match metric.unit:
        case Unit.SHARE:
            return f"{margin * 100:g} points"
        case Unit.SECONDS:
            return f"{margin * 100:g} %"
        case _:
            return f"{margin:g}"


def _telling(metric: Metric, comparison: Comparison) -> Bets:
    """Of the events that are compared, the one that tells most."""
    won = [comparison.of(event) for event in metric.events]
    return max(won, key=lambda each: max(each.log_e_better, each.log_e_worse))


def _beyond(metric: Metric, comparison: Comparison, event: Event) -> dict[str, Any]:
    """How much of both arms lies beyond control's quantile in earlier data."""
    bets, bucket = comparison.of(event), comparison.thresholds.get(event.threshold)
    threshold = None
    if bucket is not None:
        value = metric.value
        threshold = float(UPPER_EDGES[bucket]) if value is None else value.scale.edge(bucket)
    tally = bets.tally
    return {
        "quantile": event.quantile,
        "threshold": threshold,
        "side": "at most" if event.below else "above",
        "x": [tally.x_canary, tally.x_control],
        "n": [tally.n_canary, tally.n_control],
        "log_e_better": bets.log_e_better,
        "log_e_worse": bets.log_e_worse,
    }


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


def _needed(experiment: Experiment, name: str, comparison: Comparison, alpha: float) -> int | None:
    """About how many more requests of the variant would tell, if what was seen is what there is."""
    metric = experiment.metric
    mine, other = experiment.variants[name], experiment.variants[experiment.control]
    # A mean of e-values needs that much more of the one that tells.
    level = alpha / 2.0 / len(metric.events)
    wanted = [_told_after(comparison.of(event), mine, other, level) for event in metric.events]
    known = [(whole, tally_n) for whole, tally_n in wanted if math.isfinite(whole)]
    if not known:
        return None
    whole, seen = min(known)
    # For each request there are as many values as there have been so far.
    return about(max(0.0, (whole - seen) * comparison.n[0] / seen))


def _told_after(bets: Bets, mine: float, other: float, alpha: float) -> tuple[float, int]:
    """About how many requests of the variant tell by one event, and how many there were."""
    tally = bets.tally
    (n, m), (x, y) = (tally.n_canary, tally.n_control), (tally.x_canary, tally.x_control)
    if n < _REQUESTS_MIN or m < _REQUESTS_MIN or x + y == 0 or x * m == y * n:
        return math.inf, n
    p, q = x / n, y / m
    rho = mine / (mine + other)
    if p > q:
        return rollback_requests(max(q, 0.5 / m), p, rho, alpha), n
    # The roles are turned round; requests of control become those of the variant by the shares.
    return rollback_requests(max(p, 0.5 / n), q, 1.0 - rho, alpha) * mine / other, n


def _winner(found: list[dict[str, Any]]) -> str:
    """The best of those that are better than control; control when all others are worse."""
    better = [one for one in found if one["verdict"] == "better"]
    if better:
        return str(max(better, key=lambda one: one["improvement"]["absolute"]["value"] or 0.0)["name"])
    return "control" if found and all(one["verdict"] == "worse" for one in found) else ""
