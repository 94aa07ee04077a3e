"""Figures of a deployment's release, and of what served before it, from the counts that proxies report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from control.counts import NOTHING, ArmKey, Counts, quantile_seconds
from control.deployments.deployment import Deployment
from control.deployments.health import Metrics
from control.deployments.resources import Resources
from control.ledger import Ledger
from control.recent import Recent, Window


def metrics_of(deployment: Deployment, totals: Mapping[ArmKey, Counts], recent: Recent | None) -> Metrics:
    """The release's figures since its phase began; pace and latencies are those of the last minute."""
    counted = _sum(totals, deployment.route, deployment.target)
    mark = deployment.mark
    requests = max(0, counted.finished - (mark.requests if mark is not None else 0))
    failures = max(0, counted.failed - (mark.failures if mark is not None else 0))
    found = Metrics(
        requests=requests,
        failures=min(failures, requests),
        failure_rate=min(failures, requests) / requests if requests else None,
    )
    return found if recent is None else _with_recent(found, recent, deployment.route, deployment.target)


def with_resources(found: Metrics, told: Resources | None) -> Metrics:
    """The figures with what endpoints tell of themselves."""
    if told is None:
        return found
    return replace(
        found,
        cpu_cores=told.cpu_cores,
        memory_bytes=told.memory_bytes,
        endpoints_told=told.endpoints,
    )


def window_metrics(ledger: Ledger, window: Window, now: float, route: str, variant: str) -> Metrics:
    """A variant's figures of the last minute."""
    recent = window.recent(now, ledger.collector.totals())
    counted = _sum(recent.counts, route, variant)
    rate = counted.failed / counted.finished if counted.finished else None
    found = Metrics(requests=counted.finished, failures=counted.failed, failure_rate=rate)
    return _with_recent(found, recent, route, variant)


def _with_recent(found: Metrics, recent: Recent, route: str, variant: str) -> Metrics:
    lately = _sum(recent.counts, route, variant)
    if recent.seconds <= 0 or not lately.started:
        return found
    total = lately.total
    return replace(
        found,
        requests_per_second=lately.started / recent.seconds,
        p50=quantile_seconds(total, 0.5),
        p95=quantile_seconds(total, 0.95),
        p99=quantile_seconds(total, 0.99),
    )


def _sum(counts: Mapping[ArmKey, Counts], route: str, variant: str) -> Counts:
    total = NOTHING
    for key, found in counts.items():
        if key.route == route and key.variant == variant:
            total += found
    return total
