"""Families of shadows on /metrics: what became of eligible requests, and of their copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from proxy import counters
from proxy.counts import ArmCounts
from proxy.families import cumulative
from proxy.outcomes import OUTCOME_NAMES
from proxy.shadow.cells import (
    ELIGIBLE,
    MIRRORED_0,
    PAIRED,
    SIZE_CLASSES,
    SIZE_NAMES,
    SKIP_NAMES,
    SKIPPED_0,
    UNPAIRED_0,
    UNPAIRED_NAMES,
)

LABELS: Final = ("route", "shadow", "role")

Totals = Mapping[tuple[str, str, str], ArmCounts]


def shadow_families(totals: Totals) -> Iterator[Metric]:
    """Yield every family of shadows; `totals` are counts by route, shadow and role."""
    yield _counter("shadow_eligible_requests", "Requests of routes with the shadow.", totals, ELIGIBLE)
    mirrored = CounterMetricFamily(
        "headgate_shadow_mirrored_requests", "Copies sent, by size of the body.", labels=(*LABELS, "size")
    )
    skipped = CounterMetricFamily(
        "headgate_shadow_skipped_requests",
        "Eligible requests that were not copied, by reason and size of the body.",
        labels=(*LABELS, "reason", "size"),
    )
    answers = CounterMetricFamily(
        "headgate_shadow_answers", "Copies that have ended, by how they ended.", labels=(*LABELS, "outcome")
    )
    unpaired = CounterMetricFamily(
        "headgate_shadow_unpaired_answers",
        "Copies not compared, by reason and size of the request's body.",
        labels=(*LABELS, "reason", "size"),
    )
    lost = CounterMetricFamily(
        "headgate_shadow_lost_copies", "Copies whose worker was killed.", labels=LABELS
    )
    flying = GaugeMetricFamily("headgate_shadow_in_flight_copies", "Copies under way.", labels=LABELS)
    for labels, counts in totals.items():
        cells = counts.cells
        for size, size_name in enumerate(SIZE_NAMES):
            mirrored.add_metric((*labels, size_name), cells[MIRRORED_0 + size])
        for family, first, names in (
            (skipped, SKIPPED_0, SKIP_NAMES),
            (unpaired, UNPAIRED_0, UNPAIRED_NAMES),
        ):
            for reason, name in enumerate(names):
                for size, size_name in enumerate(SIZE_NAMES):
                    count = cells[first + reason * SIZE_CLASSES + size]
                    # Eighty-five series a shadow otherwise, most of them always nought.
                    if count or size == 0:
                        family.add_metric((*labels, name, size_name), count)
        for name, count in zip(OUTCOME_NAMES, counts.outcomes, strict=True):
            answers.add_metric((*labels, name), count)
        lost.add_metric(labels, counts.lost)
        flying.add_metric(labels, counts.in_flight)
    yield from (mirrored, skipped, answers, unpaired, lost, flying)
    yield _counter("shadow_paired_answers", "Pairs handed over for comparing.", totals, PAIRED)
    yield _latency(totals)


def _counter(name: str, text: str, totals: Totals, cell: int) -> Metric:
    family = CounterMetricFamily(f"headgate_{name}", text, labels=LABELS)
    for labels, counts in totals.items():
        family.add_metric(labels, counts.cells[cell])
    return family


def _latency(totals: Totals) -> Metric:
    family = HistogramMetricFamily(
        "headgate_shadow_answer_seconds", "Time to the last byte of shadows' good answers.", labels=LABELS
    )
    for labels, counts in totals.items():
        sum_us = counts.cells[counters.SUM_TOTAL_US]
        family.add_metric(labels, cumulative(counts.total), sum_value=sum_us / 1e6)
    return family
