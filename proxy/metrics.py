"""What /metrics says: families worked out from the counter pages at the moment they are asked for.

Every label has a bound: routes, variants and roles by the configuration (and `tally.LABELS_MAX`), outcomes
and results by this code, workers by their number. Counters are sums over stages, workers and, after an agent
was killed, over boots, so they only grow; they begin anew when Headgate is stopped and started.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from proxy import counters
from proxy.counts import ArmCounts, Cells
from proxy.histogram import BUCKETS, BUCKETS_PER_DOUBLING, bucket_upper_edge
from proxy.outcomes import OUTCOME_NAMES
from proxy.processes import resident_bytes
from proxy.release import version
from proxy.tally import Labels

if TYPE_CHECKING:
    from proxy.agent import Agent

ARM: Final = ("route", "variant", "role")

# One bucket a doubling, 0.1 ms to 7 min: 22 series and +Inf for each arm instead of 361.
_EDGES: Final = range(0, BUCKETS - 1, BUCKETS_PER_DOUBLING)

_ARM_COUNTERS: Final[tuple[tuple[str, str, int], ...]] = (
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

_WORKER_COUNTERS: Final[tuple[tuple[str, str, int], ...]] = (
    ("connections_accepted", "Client connections accepted.", counters.CONNECTIONS_ACCEPTED),
    (
        "connections_refused",
        "Client connections closed at once, over the limit.",
        counters.CONNECTIONS_REFUSED,
    ),
    ("worker_requests", "Request heads received, whatever became of them.", counters.REQUESTS),
    ("malformed_requests", "Requests refused because they break HTTP.", counters.REQUESTS_MALFORMED),
    ("unmatched_requests", "Requests that no route takes.", counters.REQUESTS_UNMATCHED),
    ("refused_requests", "Requests answered by a limit before they were routed.", counters.REQUESTS_REFUSED),
    ("head_timeouts", "Requests whose head did not come in time.", counters.REQUESTS_TIMED_OUT_HEAD),
    ("body_timeouts", "Requests whose body stopped coming.", counters.REQUESTS_TIMED_OUT_BODY),
    ("keepalive_expirations", "Idle client connections closed.", counters.KEEPALIVE_EXPIRED),
    ("received_bytes", "Bytes received from clients.", counters.BYTES_RECEIVED),
    ("sent_bytes", "Bytes sent to clients.", counters.BYTES_SENT),
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
    ("tunnels", "Connections upgraded to a tunnel.", counters.TUNNELS),
    ("tables_applied", "Routing tables put into use.", counters.RELOADS),
    ("worker_tables_refused", "Routing tables that a worker could not use.", counters.TABLES_REFUSED),
    ("log_lines_dropped", "Access log lines dropped because nobody took them.", counters.LOG_LINES_DROPPED),
    ("internal_errors", "Errors of Headgate itself that a worker survived.", counters.INTERNAL_ERRORS),
)

_WORKER_GAUGES: Final[tuple[tuple[str, str, int], ...]] = (
    ("connections_open", "Client connections open.", counters.CONNECTIONS_OPEN),
    ("upstream_connections_open", "Connections to endpoints open.", counters.UPSTREAM_CONNECTIONS_OPEN),
    ("tunnels_open", "Tunnels open.", counters.TUNNELS_OPEN),
    ("worker_table_revision", "Revision of the table the worker routes by.", counters.REVISION),
)


class AgentCollector(Collector):
    """All families of one agent; `refused` are refused admin requests by code."""

    def __init__(self, agent: "Agent", refused: Mapping[str, int]) -> None:
        self._agent = agent
        self._refused = refused

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        build = InfoMetricFamily("headgate_build", "Version of the agent that runs.")
        build.add_metric((), {"version": version()})
        yield build
        yield from self._arms()
        yield from self._weights()
        yield from self._workers()
        yield from self._agent_state()

    def _arms(self) -> Iterator[Metric]:
        totals = self._totals()
        requests = CounterMetricFamily(
            "headgate_requests", "Requests that have ended, by how they ended.", labels=(*ARM, "outcome")
        )
        for labels, counts in totals.items():
            for name, count in zip(OUTCOME_NAMES, counts.outcomes, strict=True):
                requests.add_metric((*labels, name), count)
        yield requests
        yield _arm_counter("lost_requests", "Requests whose worker was killed.", totals, lambda c: c.lost)
        for name, text, cell in _ARM_COUNTERS:
            yield _arm_counter(name, text, totals, _cell_reader(cell))
        yield _arm_gauge("in_flight_requests", "Requests begun and not ended.", totals, lambda c: c.in_flight)
        yield _arm_gauge(
            "diverting_workers",
            "Workers that send this variant's requests elsewhere at this moment.",
            totals,
            _cell_reader(counters.DIVERTED_FLAG),
        )
        yield _histogram(
            "request_duration_seconds",
            "From the first byte of a request to the last of its answer, successes only.",
            {labels: (c.total, c.cells[counters.SUM_TOTAL_US]) for labels, c in totals.items()},
        )
        yield _histogram(
            "first_byte_seconds",
            "From the first byte of a request to the first of its answer, successes only.",
            {labels: (c.first_byte, c.cells[counters.SUM_FIRST_BYTE_US]) for labels, c in totals.items()},
        )

    def _totals(self) -> dict[Labels, ArmCounts]:
        totals = self._agent.tally.totals()
        for leftover in self._agent.leftovers:
            if leftover.tally.boot not in self._agent.tally.inherited_boots:
                for labels, counts in leftover.tally.totals().items():
                    totals.setdefault(labels, ArmCounts()).add(counts)
        return totals

    def _weights(self) -> Iterator[Metric]:
        weights = GaugeMetricFamily(
            "headgate_variant_weight", "Share of a route's requests, as the table has it.", labels=ARM
        )
        table = self._agent.keeper.table
        for route in table["routes"] if table is not None else ():
            split = route["split"]
            for arm, weight in zip(split.get("arms", ()), split.get("weights", ()), strict=False):
                entry = table["arms"][arm] if table is not None else {}
                weights.add_metric((entry["route"], entry["variant"], entry["role"]), weight)
        yield weights
        yield _gauge("table_revision", "Revision of the routing table.", self._agent.keeper.revision)

    def _workers(self) -> Iterator[Metric]:
        fleet, pages = self._agent.fleet, self._agent.tally.pages
        headers = {str(index): page.header() for index, page in pages.items()}
        for name, text, cell in _WORKER_COUNTERS:
            counter = CounterMetricFamily(f"headgate_{name}", text, labels=("worker",))
            for worker, header in headers.items():
                counter.add_metric((worker,), header[cell])
            yield counter
        for name, text, cell in _WORKER_GAUGES:
            yield _by_worker(name, text, {worker: header[cell] for worker, header in headers.items()})
        now = time.monotonic_ns()
        beats = {worker: header[counters.HEARTBEAT_NS] for worker, header in headers.items()}
        yield _by_worker(
            "worker_heartbeat_age_seconds",
            "Since the worker's loop last ran its timer.",
            {worker: max(0, now - beat) / 1e9 for worker, beat in beats.items() if beat},
        )
        yield _by_worker(
            "worker_loop_lag_seconds",
            "How late the worker's last timer ran.",
            {worker: header[counters.LAST_LAG_US] / 1e6 for worker, header in headers.items()},
        )
        yield _by_worker(
            "worker_up",
            "Whether the worker accepts connections.",
            {str(index): int(_is_up(self._agent, index)) for index in range(fleet.count)},
        )
        yield _by_worker(
            "worker_resident_memory_bytes",
            "Resident memory of the worker.",
            {str(index): resident_bytes(child.pid) for index, child in fleet.children.items()},
        )
        restarts = CounterMetricFamily(
            "headgate_worker_restarts", "Workers started in place of one that ended.", labels=("worker",)
        )
        for index, count in enumerate(fleet.restarts):
            restarts.add_metric((str(index),), count)
        yield restarts
        yield _counter("workers_hung", "Workers killed because their loop stood still.", fleet.hung_kills)

    def _agent_state(self) -> Iterator[Metric]:
        agent = self._agent
        yield _by_label("reloads", "Configurations read again.", "result", agent.reloader.outcomes)
        yield _by_label("tables_refused", "Tables the agent did not use.", "reason", agent.keeper.refused)
        yield _by_label("statistics_reports", "Reports to control.", "result", agent.uplink.posts)
        yield _by_label("admin_requests_refused", "Admin requests refused.", "reason", self._refused)
        yield _counter(
            "state_write_failures", "State that could not be written.", agent.keeper.write_failures
        )
        yield _counter(
            "counts_given_up",
            "Counter files and boots whose counts could not be kept.",
            agent.files_given_up + agent.uplink.boots_given_up,
        )
        book = agent.tally.book
        yield _gauge("slots_used", "Counter slots that hold an arm.", len(book.occupied()))
        yield _gauge("slots_limit", "Counter slots there are.", book.slots - 1)
        yield _counter("slots_shared", "Arms counted under an earlier stage, for want of slots.", book.shared)
        yield _gauge("ready", "Whether /readyz says yes.", int(agent.ready))
        yield _gauge("draining", "Whether the proxy is finishing.", int(agent.fleet.draining))
        yield _gauge("earlier_boots", "Boots whose counts are not taken over yet.", len(agent.leftovers))
        if agent.link is not None:
            yield _gauge("control_connected", "Whether control answers.", int(bool(agent.link.connected)))
            yield _counter("control_reconnects", "Times control came back.", agent.link.reconnects)


def agent_registry(agent: "Agent", refused: Mapping[str, int]) -> CollectorRegistry:
    """Return a registry with the families of an agent and of its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(agent, refused))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def _is_up(agent: "Agent", index: int) -> bool:
    child = agent.fleet.children.get(index)
    return child is not None and child.ready


def _cell_reader(cell: int) -> Callable[[ArmCounts], int]:
    return lambda counts: counts.cells[cell]


def _arm_counter(
    name: str, text: str, totals: dict[Labels, ArmCounts], read: Callable[[ArmCounts], int]
) -> Metric:
    family = CounterMetricFamily(f"headgate_{name}", text, labels=ARM)
    for labels, counts in totals.items():
        family.add_metric(labels, read(counts))
    return family


def _arm_gauge(
    name: str, text: str, totals: dict[Labels, ArmCounts], read: Callable[[ArmCounts], int]
) -> Metric:
    family = GaugeMetricFamily(f"headgate_{name}", text, labels=ARM)
    for labels, counts in totals.items():
        family.add_metric(labels, read(counts))
    return family


def _histogram(name: str, text: str, cells: dict[Labels, tuple[Cells, int]]) -> Metric:
    family = HistogramMetricFamily(f"headgate_{name}", text, labels=ARM)
    for labels, (buckets, sum_us) in cells.items():
        cumulative = [(_le(bucket_upper_edge(edge)), sum(buckets[: edge + 1])) for edge in _EDGES]
        family.add_metric(labels, [*cumulative, ("+Inf", sum(buckets))], sum_value=sum_us / 1e6)
    return family


def _le(seconds: float) -> str:
    # The edges are 100 µs times powers of two; ten digits keep 0.0001 from being 0.00009999999999999999.
    return f"{seconds:.10g}"


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"headgate_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"headgate_{name}", text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"headgate_{name}", text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _by_worker(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"headgate_{name}", text, labels=("worker",))
    for worker, value in values.items():
        family.add_metric((worker,), value)
    return family
