"""Control's families about shadows: agreement and latency ratio over all proxies."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from control.ledger import Ledger
from control.shadows.report import agreement_view, ratio_view

LABELS: Final = ("route", "shadow", "role")


def shadow_metrics(ledger: Ledger) -> Iterator[Metric]:
    """Yield every family. Counts begin anew with another comparison."""
    keys = ledger.shadow_keys()
    compared = CounterMetricFamily(
        "headgate_shadow_compared_answers", "Pairs of answers compared.", labels=LABELS
    )
    agreed = CounterMetricFamily(
        "headgate_shadow_agreeing_answers", "Pairs of answers that agree.", labels=LABELS
    )
    lost = CounterMetricFamily(
        "headgate_shadow_lost_pairs",
        "Pairs handed over to a comparing process that ended before it told of them.",
        labels=LABELS,
    )
    differences = CounterMetricFamily(
        "headgate_shadow_differences", "Pairs that differ, by kind of difference.", labels=(*LABELS, "kind")
    )
    low = GaugeMetricFamily(
        "headgate_shadow_agreement_lower_bound",
        "Lower end of the agreement's confidence sequence.",
        labels=LABELS,
    )
    ratio = GaugeMetricFamily(
        "headgate_shadow_latency_ratio_median",
        "Median of the shadow's time over the primary's.",
        labels=LABELS,
    )
    for key in keys:
        labels = (key.route, key.shadow, key.role)
        totals = ledger.shadows.total(key)
        compared.add_metric(labels, totals.compared)
        agreed.add_metric(labels, totals.get("agreed"))
        lost.add_metric(labels, totals.get("pairs_lost"))
        for kind, count in totals.under("kind").items():
            differences.add_metric((*labels, kind), count)
        if totals.compared:
            low.add_metric(labels, agreement_view(totals)["sequence"][0])
            median = ratio_view(totals)["median"]
            if median is not None:
                ratio.add_metric(labels, median)
    yield from (compared, agreed, lost, differences, low, ratio)
