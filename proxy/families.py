"""Families of metrics: what each cell of a counter page is called on /metrics, and how families are built."""

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from proxy import counters
from proxy.counts import ArmCounts, Cells
from proxy.histogram import BUCKETS, BUCKETS_PER_DOUBLING, bucket_upper_edge
from proxy.tally import Labels

ARM: Final = ("route", "variant", "role")

# One bucket a doubling, 0.1 ms to 7 min: 22 series and +Inf for each arm instead of 361.
_EDGES: Final = range(0, BUCKETS - 1, BUCKETS_PER_DOUBLING)

ARM_COUNTERS: Final[tuple[tuple[str, str, int], ...]] = (
    ("failed_requests", "Requests that ended in an outcome the route counts as a failure.", counters.FAILED),
    (
        "diverted_requests",
        "Requests of this variant that the divert sent to the stable one.",
        counters.DIVERTED,
    ),
    (
        "probe_requests",
        "Requests let through to a diverted variant to see whether it is well.",
        counters.PROBES,
    ),
    ("attempts", "Attempts to get an answer from an endpoint, retries included.", counters.ATTEMPTS),
    ("retries", "Attempts after the first one of a request.", counters.RETRIES),
    ("request_bytes", "Bytes of request bodies taken from clients.", counters.BYTES_IN),
    ("response_bytes", "Bytes of responses passed on to clients.", counters.BYTES_OUT),
)

WORKER_COUNTERS: Final[tuple[tuple[str, str, int], ...]] = (
    ("connections_accepted", "Client connections accepted.", counters.CONNECTIONS_ACCEPTED),
    (
        "connections_refused",
        "Client connections closed at once, over the limit.",
        counters.CONNECTIONS_REFUSED,
    ),
    ("worker_requests", "Request heads received, whatever became of them.", counters.REQUESTS),
    (
        "tls_handshakes_failed",
        "Client connections that ended before TLS was agreed on.",
        counters.HANDSHAKES_FAILED,
    ),
    ("malformed_requests", "Requests refused because they break HTTP.", counters.REQUESTS_MALFORMED),
    ("unmatched_requests", "Requests that no route takes.", counters.REQUESTS_UNMATCHED),
    ("refused_requests", "Requests refused because they were over a limit.", counters.REQUESTS_REFUSED),
    ("head_timeouts", "Requests whose head did not come in time.", counters.REQUESTS_TIMED_OUT_HEAD),
    ("body_timeouts", "Requests whose body stopped coming.", counters.REQUESTS_TIMED_OUT_BODY),
    (
        "model_names_kept",
        "Messages too large, or compressed, to write another model name into.",
        counters.MODEL_NAMES_KEPT,
    ),
    ("keepalive_expirations", "Idle client connections closed.", counters.KEEPALIVE_EXPIRED),
    ("upstream_connections", "Connections opened to endpoints.", counters.UPSTREAM_CONNECTIONS_OPENED),
    (
        "upstream_connections_reused",
        "Requests that found an open connection.",
        counters.UPSTREAM_CONNECTIONS_REUSED,
    ),
    (
        "upstream_connections_discarded",
        "Idle connections to endpoints that could not be used again.",
        counters.UPSTREAM_CONNECTIONS_DISCARDED,
    ),
    ("retries_denied", "Retries that the budget did not pay for.", counters.RETRIES_DENIED),
    ("tunnels", "Connections upgraded to a tunnel.", counters.TUNNELS),
    ("tables_applied", "Routing tables put into use.", counters.RELOADS),
    ("worker_tables_refused", "Routing tables that a worker could not use.", counters.TABLES_REFUSED),
    ("internal_errors", "Errors of Headgate itself that a worker survived.", counters.INTERNAL_ERRORS),
)

WORKER_GAUGES: Final[tuple[tuple[str, str, int], ...]] = (
    ("connections_open", "Client connections open.", counters.CONNECTIONS_OPEN),
    ("upstream_connections_open", "Connections to endpoints open.", counters.UPSTREAM_CONNECTIONS_OPEN),
    ("tunnels_open", "Tunnels open.", counters.TUNNELS_OPEN),
    ("overload", "Degree of overload: 0 none, 1 no retries, 2 no canary, 3 nothing new.", counters.OVERLOAD),
    ("queued_requests", "Requests that wait for a place at their upstream.", counters.QUEUED),
    ("worker_table_revision", "Revision of the table the worker routes by.", counters.REVISION),
)


def cell_reader(cell: int) -> Callable[[ArmCounts], int]:
    """Return what reads one cell of an arm."""
    return lambda counts: counts.cells[cell]


def arm_counter(
    name: str, text: str, totals: dict[Labels, ArmCounts], read: Callable[[ArmCounts], int]
) -> Metric:
    """Return a counter by arm."""
    family = CounterMetricFamily(f"headgate_{name}", text, labels=ARM)
    for labels, counts in totals.items():
        family.add_metric(labels, read(counts))
    return family


def arm_gauge(
    name: str, text: str, totals: dict[Labels, ArmCounts], read: Callable[[ArmCounts], int]
) -> Metric:
    """Return a gauge by arm."""
    family = GaugeMetricFamily(f"headgate_{name}", text, labels=ARM)
    for labels, counts in totals.items():
        family.add_metric(labels, read(counts))
    return family


def arm_histogram(name: str, text: str, cells: dict[Labels, tuple[Cells, int]]) -> Metric:
    """Return a histogram of seconds; `cells` are each arm's buckets and its sum in microseconds."""
    family = HistogramMetricFamily(f"headgate_{name}", text, labels=ARM)
    for labels, (buckets, sum_us) in cells.items():
        family.add_metric(labels, cumulative(buckets), sum_value=sum_us / 1e6)
    return family


def cumulative(buckets: Cells) -> list[tuple[str, float]]:
    """Return a histogram's cells as Prometheus wants them."""
    found = [(_le(bucket_upper_edge(edge)), float(sum(buckets[: edge + 1]))) for edge in _EDGES]
    return [*found, ("+Inf", float(sum(buckets)))]


def _le(seconds: float) -> str:
    # The edges are 100 µs times powers of two; ten digits keep 0.0001 from being 0.00009999999999999999.
    return f"{seconds:.10g}"


def single_gauge(name: str, text: str, value: float) -> Metric:
    """Return a gauge of one value."""
    return GaugeMetricFamily(f"headgate_{name}", text, value=value)


def single_counter(name: str, text: str, value: float) -> Metric:
    """Return a counter of one value."""
    return CounterMetricFamily(f"headgate_{name}", text, value=value)


def counter_by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    """Return a counter with one label, whose values are the keys of `values`."""
    family = CounterMetricFamily(f"headgate_{name}", text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def gauge_by_worker(name: str, text: str, values: Mapping[str, float]) -> Metric:
    """Return a gauge by worker."""
    family = GaugeMetricFamily(f"headgate_{name}", text, labels=("worker",))
    for worker, value in values.items():
        family.add_metric((worker,), value)
    return family
