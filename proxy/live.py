"""A routing table made ready for use: numbers resolved, lines rendered, endpoints joined to their pools.

A request takes the live table of its first byte and keeps it to its end; publishing a new one is a single
assignment in the worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.balancers.base import Balancer
from proxy.divert import DivertGuard
from proxy.forwarding import Forwarding
from proxy.looks import together
from proxy.meters import FEEDBACK, Meter
from proxy.outcomes import OK
from proxy.pool import Pool
from proxy.retrying import RetryBudget
from proxy.timers import ticks
from proxy.tokens import Signer, arm_id

if TYPE_CHECKING:
    from proxy.admission import Gate
    from proxy.arms import Arm
    from proxy.context import WorkerContext
    from proxy.endpoint import Endpoint
    from proxy.keys import KeyReader
    from proxy.looks import Looker
    from proxy.meters import Metric
    from proxy.rewriting import Rewrite
    from proxy.shadow.mirror import Mirror
    from proxy.slot_counts import SlotCounts
    from proxy.table import Route, RoutingTable


# Between the marks at which the event loop stops and resumes the other side.
BUFFERED_BYTES: Final = 48 * 1024


class LiveArm:
    """An arm as the hot path wants it. Durations are ticks of the timer wheel, 0 for none."""

    __slots__ = (
        "arm",
        "attempts_max",
        "authority",
        "balancer",
        "body_idle",
        "budget",
        "canary",
        "connect",
        "counts",
        "endpoints",
        "extras",
        "failure",
        "fallback",
        "first_byte",
        "gate",
        "guard",
        "guarded",
        "keys",
        "looker",
        "mirrors",
        "model",
        "only",
        "repeats",
        "response_lines",
        "rewrite",
        "signer",
        "special",
        "stream_idle",
        "total",
    )

    def __init__(
        self,
        arm: Arm,
        route: Route,
        balancer: Balancer,
        forwarding: Forwarding,
        counts: SlotCounts,
        budget: RetryBudget,
    ) -> None:
        self.arm = arm
        self.budget = budget
        self.canary = arm.role == "canary"
        self.gate: Gate | None = arm.upstream.gate
        self.keys: KeyReader | None = arm.upstream.keys if balancer.keyed else None
        self.counts = counts
        self.endpoints: list[Endpoint] = arm.upstream.live
        self.balancer = balancer
        # Most sidecars have one endpoint per variant: nothing to balance.
        self.only: Endpoint | None = self.endpoints[0] if len(self.endpoints) == 1 else None
        self.authority = self.endpoints[0].authority
        self.rewrite: Rewrite | None = arm.upstream.rewrite
        # What its servers call the model; empty where that is what clients say.
        self.model = b"" if self.rewrite is None else self.rewrite.model
        self.failure: tuple[bool, ...] = route.failure
        # Retries look for another endpoint; with a single one the same failure would only come twice.
        retries = route.retries.attempts
        self.attempts_max = 1 + (retries if len(self.endpoints) > 1 else 0)
        self.repeats = retries > 0
        self.guard: DivertGuard | None = None
        self.guarded = False
        self.fallback = 0
        # Shadows of the route; None, the usual case, costs a request one look.
        self.mirrors: list[Mirror] | None = None
        # What looks at answers, for metrics or streams of tokens, and what signs request ids: where the route
        # has use for them.
        self.looker: Looker | None = None
        self.signer: Signer | None = None
        # Whether the end of an exchange concerns one of these or the gate; set when the table is whole.
        self.extras = self.gate is not None
        # Whether a request has more done to it than to be passed on and counted; see `LiveTable`.
        self.special = True
        self.response_lines = forwarding.response_lines(arm.variant_bytes)
        timeouts = arm.timeouts
        self.connect = ticks(timeouts.connect)
        self.first_byte = ticks(timeouts.first_byte)
        self.stream_idle = ticks(timeouts.stream_idle)
        self.body_idle = ticks(timeouts.request_body_idle)
        self.total = ticks(timeouts.total)

    def or_fallback(self, arms: list[LiveArm]) -> LiveArm:
        """This guarded arm, or the one that stands in for it while it is diverted."""
        return arms[self.fallback] if self.guard is not None and self.guard.diverts() else self

    def pick(self, avoid: Endpoint | None, key: int) -> Endpoint:
        """Choose an endpoint; ``avoid`` is the one that has just failed, ``key`` see `proxy.balancers`."""
        return self.balancer.pick(self.endpoints, avoid, key)


class LiveTable:
    """The table in use, and what was worked out from it."""

    __slots__ = (
        "arms",
        "body_bytes_max",
        "body_rate",
        "everything",
        "forwarding",
        "head_bytes_max",
        "headers_max",
        "keepalive_idle",
        "pool_idle_max",
        "read_stall",
        "request_body_idle",
        "request_head",
        "table",
        "upstream_idle",
    )

    def __init__(self, worker: WorkerContext, table: RoutingTable) -> None:
        """Adopt the endpoints of earlier tables with their pools; close idle connections of the others."""
        self.table = table
        # The route of every request, where the first one takes all.
        self.everything: Route | None = table.everything
        for gone in worker.endpoints.adopt(table):
            if gone.pool is not None:
                gone.pool.close_idle()
        for upstream in table.upstreams:
            for endpoint in upstream.live:
                if endpoint.pool is None:
                    endpoint.pool = Pool(worker, endpoint)
        self.forwarding = Forwarding(table.headers)
        self.arms: list[LiveArm] = []
        routes = {route.name: route for route in table.routes}
        worker.budgets = {
            name: worker.budgets.get(name) or RetryBudget(route.retries.share, route.retries.minimum)
            for name, route in routes.items()
        }
        for arm in table.arms:
            balancer = arm.upstream.balancer
            assert balancer is not None
            counts = worker.slot_counts(arm)
            budget = worker.budgets[arm.route]
            live = LiveArm(arm, routes[arm.route], balancer, self.forwarding, counts, budget)
            route = routes[arm.route]
            if route.metrics or route.streams is not None:
                self._measure(worker, live, route)
            self.arms.append(live)
        for route in table.routes:
            self._guard(worker, route)
            counts_of = [self.arms[arm.index].counts for arm in route.arms]
            worker.budgets[route.name].watch(route.retries.share, route.retries.minimum, counts_of)
        mirrors = worker.shadows.adopt(
            [
                (route, [(spec, self.arms[spec.arm.index].counts) for spec in route.shadows])
                for route in table.routes
                if route.shadows
            ]
        )
        for live_arm in self.arms:
            # Without shadows: copies have a straight way of their own.
            live_arm.special = (
                live_arm.extras
                or live_arm.total > 0
                or live_arm.keys is not None
                or live_arm.rewrite is not None
                or live_arm.signer is not None
                or live_arm.failure[OK]
            )
            if live_arm.arm.route in mirrors:
                live_arm.mirrors = mirrors[live_arm.arm.route]
                live_arm.extras = True
        limits = table.limits
        self.head_bytes_max = limits.head_bytes
        self.headers_max = limits.headers
        self.body_bytes_max = limits.body_bytes
        self.pool_idle_max = limits.pool_idle
        self.body_rate = limits.body_rate
        # Ticks for what has to be taken before the answer goes on; 0 = the idle time-out alone counts.
        self.read_stall = ticks(BUFFERED_BYTES / limits.read_rate) if limits.read_rate else 0
        timeouts = table.timeouts
        self.keepalive_idle = ticks(timeouts.keepalive_idle)
        self.request_head = ticks(timeouts.request_head)
        self.request_body_idle = ticks(timeouts.request_body_idle)
        self.upstream_idle = ticks(timeouts.upstream_idle)

    def _measure(self, worker: WorkerContext, live: LiveArm, route: Route) -> None:
        metrics: list[Metric] = route.metrics
        lookers: list[Looker] = []
        # Streams first: only what is good in their light says anything about metrics.
        if route.streams is not None:
            # Here, because what reads JSON takes a megabyte, and most workers read none.
            from proxy.streams.watch import StreamWatcher

            lookers.append(StreamWatcher(route.streams))
        if any(metric.source != FEEDBACK for metric in metrics):
            lookers.append(Meter(metrics, worker.loop))
        live.looker = together(lookers)
        if live.looker is not None:
            live.extras = True
        if any(metric.source == FEEDBACK for metric in metrics) and worker.feedback_key:
            arm = live.arm
            live.signer = Signer(worker.feedback_key, arm_id(arm.route, arm.variant, arm.role, arm.stage))

    def _guard(self, worker: WorkerContext, route: Route) -> None:
        spec = route.divert
        if spec is None:
            return
        arm = self.arms[spec.arm.index]
        fallback = self.arms[spec.fallback.index]
        guard = DivertGuard(worker, spec, arm.counts, fallback.counts)
        arm.guarded = True
        arm.fallback = spec.fallback.index
        arm.guard = guard
        fallback.guard = guard
