"""Control's families about experiments: what those that have begun say, by route."""

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from control.plane import Plane
from control.stats.logspace import to_value

VERDICTS: Final = ("no_data", "inconclusive", "better", "worse", "mixed", "equivalent", "invalid")


def experiment_metrics(plane: Plane) -> Iterator[Metric]:
    """Yield every family. A route has at most one experiment that has begun and not ended."""
    info = GaugeMetricFamily(
        "headgate_experiment_info",
        "1, with what an experiment is called and compares by.",
        labels=("route", "experiment", "name", "metric", "status"),
    )
    requests = CounterMetricFamily(
        "headgate_experiment_requests", "Requests compared.", labels=("route", "variant")
    )
    failed = CounterMetricFamily(
        "headgate_experiment_failed_requests", "Those among them that failed.", labels=("route", "variant")
    )
    value = GaugeMetricFamily(
        "headgate_experiment_metric",
        "The metric of a variant, with the ends of its interval.",
        labels=("route", "variant", "bound"),
    )
    better = GaugeMetricFamily(
        "headgate_experiment_improvement",
        "By how much a variant is better than control, with the ends of its interval.",
        labels=("route", "variant", "kind", "bound"),
    )
    evidence = GaugeMetricFamily(
        "headgate_experiment_e_value",
        "Evidence that a variant is better, or worse.",
        labels=("route", "variant", "direction"),
    )
    threshold = GaugeMetricFamily(
        "headgate_experiment_e_value_threshold", "Evidence that decides.", labels=("route",)
    )
    ratio = GaugeMetricFamily(
        "headgate_experiment_sample_ratio_e_value",
        "Evidence that the shares are not those that were set.",
        labels=("route", "variant"),
    )
    verdict = GaugeMetricFamily(
        "headgate_experiment_verdict", "1 for the verdict in force.", labels=("route", "variant", "verdict")
    )
    needed = GaugeMetricFamily(
        "headgate_experiment_requests_needed",
        "About how many more requests of an undecided variant would tell; none while that is unknown.",
        labels=("route", "variant"),
    )
    for route, experiment in plane.ledger.experiments.items():
        if experiment.started_at is None:
            continue
        says = plane.loop.experiments.analysis(experiment)
        info.add_metric((route, experiment.id, experiment.name, says["metric"], says["status"]), 1)
        for arm in (says["control"], *says["treatments"]):
            labels = (route, arm["name"])
            requests.add_metric(labels, arm["requests"])
            failed.add_metric(labels, arm["failures"])
            _bounds(value, labels, arm["metric"])
        for one in says["treatments"]:
            labels = (route, one["name"])
            for kind in ("absolute", "relative"):
                _bounds(better, (*labels, kind), one["improvement"][kind])
            for way in ("better", "worse"):
                evidence.add_metric((*labels, way), to_value(one[f"log_e_{way}"]))
            ratio.add_metric(labels, to_value(one["sample_ratio"]["log_e"]))
            for each in VERDICTS:
                verdict.add_metric((*labels, each), int(one["verdict"] == each))
            if one["needed"] is not None and one["verdict"] in ("no_data", "inconclusive"):
                needed.add_metric(labels, one["needed"])
        # The same for all of them.
        threshold.add_metric((route,), says["treatments"][0]["threshold"])
    yield from (info, requests, failed, value, better, evidence, threshold, ratio, verdict, needed)


def _bounds(family: GaugeMetricFamily, labels: tuple[str, ...], found: dict[str, Any]) -> None:
    for bound in ("value", "low", "high"):
        if found[bound] is not None:
            family.add_metric((*labels, bound), found[bound])
