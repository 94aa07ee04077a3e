"""What /metrics says: families worked out from the counter pages at the moment they are asked for.

Every label has a bound: routes, variants and roles by the configuration (and `tally.LABELS_MAX`), outcomes
and results by this code, workers by their number. Counters are sums over stages, workers and, after an agent
was killed, over boots, so they only grow; they begin anew when Headgate is stopped and started.
"""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy import counters
from proxy.compiled import form
from proxy.counts import ArmCounts
from proxy.endpoint_report import endpoint_families
from proxy.families import (
    ARM,
    ARM_COUNTERS,
    WORKER_COUNTERS,
    WORKER_GAUGES,
    arm_counter,
    arm_gauge,
    arm_histogram,
    cell_reader,
    counter_by,
    gauge_by_worker,
    single_counter,
    single_gauge,
)
from proxy.outcomes import OUTCOME_NAMES
from proxy.processes import resident_bytes
from proxy.release import version
from proxy.shadow.metrics import shadow_families
from proxy.shadow.report import SHADOW_ROLES
from proxy.streams.metrics import stream_families
from proxy.tally import Labels

if TYPE_CHECKING:
    from proxy.agent import Agent


class AgentCollector(Collector):
    """All families of one agent; `refused` are refused admin requests by code."""

    def __init__(self, agent: "Agent", refused: Mapping[str, int]) -> None:
        self._agent = agent
        self._refused = refused
        self._form = form()

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        about = (
            "Version of the agent that runs, and whether the hot path is compiled, interpreted or unfinished."
        )
        build = InfoMetricFamily("headgate_build", about)
        build.add_metric((), {"version": version(), "hot_path": self._form})
        yield build
        yield from self._arms()
        yield from self._weights()
        yield from self._workers()
        yield from endpoint_families(self._agent.fleet.endpoints)
        yield from self._agent_state()

    def _arms(self) -> Iterator[Metric]:
        everything = self._totals()
        yield from shadow_families(
            {labels: c for labels, c in everything.items() if labels[2] in SHADOW_ROLES}
        )
        totals = {labels: c for labels, c in everything.items() if labels[2] not in SHADOW_ROLES}
        requests = CounterMetricFamily(
            "headgate_requests", "Requests that have ended, by how they ended.", labels=(*ARM, "outcome")
        )
        for labels, counts in totals.items():
            for name, count in zip(OUTCOME_NAMES, counts.outcomes, strict=True):
                requests.add_metric((*labels, name), count)
        yield requests
        yield arm_counter("lost_requests", "Requests whose worker was killed.", totals, lambda c: c.lost)
        for name, text, cell in ARM_COUNTERS:
            yield arm_counter(name, text, totals, cell_reader(cell))
        yield arm_gauge(
            "set_aside_requests",
            "Failures at an endpoint that failed in a row while others did not: no verdict on the release.",
            totals,
            lambda c: c.set_aside,
        )
        yield arm_gauge("in_flight_requests", "Requests begun and not ended.", totals, lambda c: c.in_flight)
        yield arm_gauge(
            "diverting_workers",
            "Workers that send this variant's requests elsewhere at this moment.",
            totals,
            cell_reader(counters.DIVERTED_FLAG),
        )
        yield arm_histogram(
            "request_duration_seconds",
            "From the first byte of a request to the last of its answer, successes only.",
            {labels: (c.total, c.cells[counters.SUM_TOTAL_US]) for labels, c in totals.items()},
        )
        yield arm_histogram(
            "first_byte_seconds",
            "From the first byte of a request to the first of its answer, successes only.",
            {labels: (c.first_byte, c.cells[counters.SUM_FIRST_BYTE_US]) for labels, c in totals.items()},
        )
        yield from stream_families(totals)

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
        yield single_gauge("table_revision", "Revision of the routing table.", self._agent.keeper.revision)

    def _workers(self) -> Iterator[Metric]:
        fleet, pages = self._agent.fleet, self._agent.tally.pages
        headers = {str(index): page.header() for index, page in pages.items()}
        for name, text, cell in WORKER_COUNTERS:
            counter = CounterMetricFamily(f"headgate_{name}", text, labels=("worker",))
            for worker, header in headers.items():
                counter.add_metric((worker,), header[cell])
            yield counter
        for name, text, cell in WORKER_GAUGES:
            yield gauge_by_worker(name, text, {worker: header[cell] for worker, header in headers.items()})
        now = time.monotonic_ns()
        beats = {worker: header[counters.HEARTBEAT_NS] for worker, header in headers.items()}
        yield gauge_by_worker(
            "worker_heartbeat_age_seconds",
            "Since the worker's loop last ran its timer.",
            {worker: max(0, now - beat) / 1e9 for worker, beat in beats.items() if beat},
        )
        yield gauge_by_worker(
            "worker_loop_lag_seconds",
            "How late the worker's last timer ran.",
            {worker: header[counters.LAST_LAG_US] / 1e6 for worker, header in headers.items()},
        )
        yield gauge_by_worker(
            "worker_up",
            "Whether the worker accepts connections.",
            {str(index): int(_is_up(self._agent, index)) for index in range(fleet.count)},
        )
        yield gauge_by_worker(
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
        yield single_counter(
            "workers_hung", "Workers killed because their loop stood still.", fleet.hung_kills
        )

    def _agent_state(self) -> Iterator[Metric]:
        agent = self._agent
        yield counter_by("reloads", "Configurations read again.", "result", agent.reloader.outcomes)
        yield counter_by("tables_refused", "Tables the agent did not use.", "reason", agent.keeper.refused)
        yield counter_by("statistics_reports", "Reports to control.", "result", agent.uplink.posts)
        yield counter_by("admin_requests_refused", "Admin requests refused.", "reason", self._refused)
        yield single_gauge("admin_sessions", "Browsers that are signed in.", len(agent.sessions))
        yield single_counter(
            "admin_sessions_dropped",
            "Browsers signed out because their holder signed in elsewhere too often.",
            agent.sessions.dropped,
        )
        yield single_counter(
            "state_write_failures", "State that could not be written.", agent.keeper.write_failures
        )
        yield single_counter(
            "counts_given_up",
            "Counter files and boots whose counts could not be kept.",
            agent.files_given_up + agent.uplink.boots_given_up,
        )
        book = agent.tally.book
        yield single_gauge("slots_used", "Counter slots that hold an arm.", len(book.occupied()))
        yield single_gauge("slots_limit", "Counter slots there are.", book.slots - 1)
        yield single_counter("slots_shared", "Arms counted under an earlier stage.", book.shared)
        yield single_gauge("ready", "Whether /readyz says yes.", int(agent.ready))
        yield single_gauge("draining", "Whether the proxy is finishing.", int(agent.draining))
        yield single_gauge("earlier_boots", "Boots not taken over yet.", len(agent.leftovers))
        expiry = GaugeMetricFamily(
            "headgate_certificate_expiry_timestamp_seconds",
            "When a certificate that we show ends, by its file.",
            labels=("file",),
        )
        for name, end in agent.certificates.expiry.items():
            expiry.add_metric((name,), end)
        yield expiry
        if agent.link is not None:
            yield single_gauge(
                "control_connected", "Whether control answers.", int(bool(agent.link.connected))
            )
            yield single_counter("control_reconnects", "Times control came back.", agent.link.reconnects)


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
