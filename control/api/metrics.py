"""Control's own families of metrics; the agent shows them after its own, so no name may be in both."""

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from control.api.experiment_metrics import experiment_metrics
from control.api.keys import PLANE
from control.api.requests import only
from control.api.shadow_metrics import shadow_metrics
from control.feedback import Fate
from control.guardrails.finding import Verdict
from control.judgement.needs import needs
from control.plane import Plane
from control.rollout.machine import DecisionKind, State
from control.rollout.records import Record
from control.stats.logspace import to_value
from control.store import audit, checkpoints
from control.store.checkpoints import StoredCheckpoint


def routes() -> list[web.RouteDef]:
    """The path of the metrics."""
    return [web.get("/metrics", get_metrics)]


async def get_metrics(request: web.Request) -> web.Response:
    """Prometheus text or OpenMetrics, as the Accept header asks."""
    only(request, set())
    plane = request.app[PLANE]
    async with plane.ledger.store.read() as connection:
        head = await audit.head(connection)
        last = await checkpoints.newest(connection)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ControlCollector(plane, head, last))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})


class ControlCollector(Collector):
    """All families of one control plane; *head* and *last* are the audit log's, and its newest checkpoint."""

    def __init__(self, plane: Plane, head: audit.Head, last: StoredCheckpoint | None) -> None:
        self._plane = plane
        self._head = head
        self._last = last

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        yield from self._process()
        yield from self._decisions()
        yield from self._rollouts()
        yield from self._guardrails()
        yield from self._audit()
        yield from shadow_metrics(self._plane.ledger)
        yield from experiment_metrics(self._plane)

    def _process(self) -> Iterator[Metric]:
        plane, loop, ledger = self._plane, self._plane.loop, self._plane.ledger
        yield SummaryMetricFamily(
            "headgate_tick_seconds",
            "Time that ticks of the control loop took.",
            count_value=loop.ticks,
            sum_value=loop.seconds_total,
        )
        yield _gauge("last_tick_seconds", "Time that the last tick took.", loop.last_seconds)
        yield _counter(
            "tick_failures",
            "Ticks, or looks at one rollout, that failed.",
            loop.failures,
        )
        yield _counter("ticks_overdue", "Ticks that took longer than the time between two.", loop.overdue)
        yield _counter("looks_postponed", "Looks at a rollout left for the next tick.", loop.looks.postponed)
        yield _counter(
            "analyses_postponed",
            "Analyses left for a later tick, after counts were taken in and rolled nothing back.",
            loop.looks.put_off,
        )
        yield _gauge("control_start_time_seconds", "When control started, in Unix seconds.", plane.started_at)
        yield _gauge("published_revision", "Revision of the table last published.", ledger.revision)
        yield _gauge("watchers", "Proxies that watch the table.", ledger.publisher.watchers)
        collector = ledger.collector
        yield _counter("statistics_received", "Reports of counts received.", collector.reports)
        yield _counter("statistics_stale", "Counts in reports that said nothing new.", collector.stale)
        yield _counter("statistics_dropped", "Counts in reports that found no room.", collector.dropped)
        yield _counter("gate_questions", "Questions asked of webhook gates.", loop.gatekeeper.asked)
        yield _counter("gate_failures", "Questions that got no usable answer.", loop.gatekeeper.failures)
        yield from self._notifications()
        yield from self._feedback()

    def _feedback(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "headgate_feedback_items", "Reported outcomes by what became of them.", labels=("fate",)
        )
        book = self._plane.feedback
        for fate in Fate:
            family.add_metric((fate,), 0 if book is None else book.counted[fate])
        yield family
        yield _counter(
            "feedback_refused",
            "Reported outcomes that came faster than they can be taken.",
            0 if book is None else book.refused,
        )

    def _notifications(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "headgate_notifications",
            "Decisions for a receiver: delivered, failed for good, or dropped from a full queue.",
            labels=("receiver", "result"),
        )
        notifier = self._plane.notifier
        for name, counts in ({} if notifier is None else notifier.counts()).items():
            for result, count in counts.items():
                family.add_metric((name, result), count)
        yield family

    def _audit(self) -> Iterator[Metric]:
        yield _counter("audit_events", "Events in the audit log.", self._head.size)
        root = GaugeMetricFamily(
            "headgate_audit_root_info",
            "1, with size and root of the audit log: whoever scrapes it witnesses it.",
            labels=("size", "root"),
        )
        # One series at any time: labels are replaced, not added.
        root.add_metric((str(self._head.size), self._head.root.hex()), 1)
        yield root
        last = self._last
        yield _gauge(
            "audit_checkpoint_events", "Events under the newest signed checkpoint.", last.size if last else 0
        )
        yield _gauge(
            "audit_checkpoint_time_seconds", "When that was signed, in Unix seconds.", last.at if last else 0
        )
        witness = self._plane.witness
        yield _counter(
            "audit_checkpoint_failures", "Checkpoints not signed.", witness.failures if witness else 0
        )

    def _decisions(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "headgate_decisions", "Decisions of this control process.", labels=("kind",)
        )
        for kind in DecisionKind:
            name = kind.name.lower()
            family.add_metric((name,), self._plane.ledger.decisions.get(name, 0))
        yield family
        yield _gauge(
            "quarantined_releases", "Releases that may not be served.", len(self._plane.ledger.quarantine)
        )

    def _rollouts(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "headgate_rollout_state", "1 for the state a rollout is in.", labels=("route", "state")
        )
        weight = GaugeMetricFamily(
            "headgate_rollout_weight", "Share of requests the canary should have.", labels=("route",)
        )
        step = GaugeMetricFamily("headgate_rollout_step", "Step of the plan, from 0.", labels=("route",))
        quarantine = self._plane.ledger.quarantine
        for route, record in self._plane.ledger.records.items():
            for one in State:
                state.add_metric((route, one.name.lower()), int(record.rollout.state is one))
            weight.add_metric((route,), 0.0 if record.subject in quarantine else record.weight)
            step.add_metric((route,), record.rollout.step)
        yield from (state, weight, step)

    def _guardrails(self) -> Iterator[Metric]:
        together = GaugeMetricFamily(
            "headgate_rollout_e_value", "Evidence of harm, all guardrails together.", labels=("route",)
        )
        needed = GaugeMetricFamily(
            "headgate_rollout_e_value_threshold",
            "Evidence at which a canary is rolled back.",
            labels=("route",),
        )
        evidence = GaugeMetricFamily(
            "headgate_guardrail_e_value", "Evidence of harm.", labels=("route", "guardrail")
        )
        verdict = GaugeMetricFamily(
            "headgate_guardrail_verdict",
            "1 for the verdict in force.",
            labels=("route", "guardrail", "verdict"),
        )
        requests = GaugeMetricFamily(
            "headgate_guardrail_requests_needed",
            "About how many more canary requests an undecided guardrail needs; none while that is unknown.",
            labels=("route", "guardrail"),
        )
        for route, record in self._judged():
            analysis = record.analysis
            if analysis is None:
                continue
            for need in needs(analysis):
                if need.requests is not None:
                    requests.add_metric((route, need.guardrail), need.requests)
            together.add_metric((route,), to_value(analysis.log_e))
            needed.add_metric((route,), analysis.threshold)
            for finding in analysis.findings:
                evidence.add_metric((route, finding.name), to_value(finding.log_e))
                for one in Verdict:
                    verdict.add_metric((route, finding.name, one.name.lower()), int(finding.verdict is one))
        yield from (together, needed, evidence, verdict, requests)

    def _judged(self) -> Iterator[tuple[str, Record]]:
        return ((route, record) for route, record in self._plane.ledger.records.items() if record.judged)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"headgate_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"headgate_{name}", text, value=value)
