"""What workers tell of their endpoints, and how /metrics shows it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

LABELS: Final = ("upstream", "endpoint", "worker")
# Endpoints of one worker that are shown; more are not told apart from each other by anybody.
ROWS_MAX: Final = 2000
_COUNTERS: Final = (
    ("endpoint_attempts", "Attempts that this endpoint was given.", 2),
    ("endpoint_failures", "Attempts that failed as only a sick server's do.", 3),
    ("endpoint_ejections", "Times this endpoint was left out for failing in a row.", 4),
)
_GAUGES: Final = (
    ("endpoint_ejected", "Whether a worker leaves this endpoint out for failing in a row.", 5),
    ("endpoint_down", "Whether probes find this endpoint down.", 6),
    ("endpoint_in_flight", "Attempts that this endpoint has in hand.", 7),
)


def endpoint_families(reports: Mapping[int, list[list[Any]]]) -> Iterator[Metric]:
    """The families of all endpoints, from the last report of each worker."""
    for name, text, column in _COUNTERS:
        counter = CounterMetricFamily(f"headgate_{name}", text, labels=LABELS)
        for labels, row in _rows(reports):
            counter.add_metric(labels, row[column])
        yield counter
    for name, text, column in _GAUGES:
        gauge = GaugeMetricFamily(f"headgate_{name}", text, labels=LABELS)
        for labels, row in _rows(reports):
            gauge.add_metric(labels, row[column])
        yield gauge


def _rows(reports: Mapping[int, list[list[Any]]]) -> Iterator[tuple[tuple[str, str, str], list[Any]]]:
    for worker, rows in sorted(reports.items()):
        for row in rows[:ROWS_MAX]:
            yield (row[0], row[1], str(worker)), row
