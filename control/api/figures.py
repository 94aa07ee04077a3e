"""The figures of a variant: requests, failures and latencies, of the last minute and since it is counted."""

from collections.abc import Mapping
from typing import Any, Final

from control.api.views import verdict_of
from control.counts import NOTHING, ArmKey, Counts, quantile_seconds
from control.plane import Plane
from control.recent import Recent
from control.rollout.records import Record
from proxy.outcomes import OUTCOME_NAMES

# Fewer successes than this say little about a p99; it is shown with its n, which tells.
_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def routes_view(plane: Plane) -> list[dict[str, Any]]:
    """Every route of the table in force with its variants: the weight set beside the weight observed."""
    ledger = plane.ledger
    if ledger.table is None:
        return []
    totals = ledger.collector.totals()
    recent = plane.loop.window.recent(plane.controller.clock.steady(), totals)
    return [_route(plane, ledger.table, entry, totals, recent) for entry in ledger.table["routes"]]


def figures(counts: Counts) -> dict[str, Any]:
    """What a set of counts says. ``state`` is ``no_data`` when no request was counted."""
    judged = counts.routed
    return {
        "state": "ok" if counts.started else "no_data",
        "requests": counts.started,
        "overridden": counts.started - judged,
        "finished": counts.finished,
        "failures": counts.failed,
        "failure_rate": counts.failed / counts.finished if counts.finished else None,
        "attempts": counts.scalar("attempts"),
        "retries": counts.scalar("retries"),
        "lost": counts.scalar("lost"),
        "set_aside": sum(counts.aside),
        "diverted": counts.scalar("diverted"),
        "outcomes": {
            name: count for name, count in zip(OUTCOME_NAMES, counts.outcomes, strict=True) if count
        },
        "latency": _latency(counts.total),
        "first_byte": _latency(counts.first_byte),
        **({"streams": streams(counts)} if counts.scalar("streams") else {}),
    }


def streams(counts: Counts) -> dict[str, Any]:
    """What streams of tokens say; only of routes that look at them."""
    first_token, gaps_us = _latency(counts.first_token), counts.scalar("sum_token_gap_us")
    return {
        "n": counts.scalar("streams"),
        "unread": counts.scalar("streams_unread"),
        "stalled": counts.scalar("streams_stalled"),
        "truncated": counts.scalar("streams_truncated"),
        "broken": counts.scalar("streams_broken"),
        "tokens": counts.scalar("stream_tokens"),
        # The first of each stream is waited for in another way.
        "tokens_per_second": (counts.scalar("stream_tokens") - first_token["n"]) * 1e6 / gaps_us
        if gaps_us
        else None,
        "first_token": first_token,
        "token_gap": _latency(counts.token_gap),
        "token_time": _latency(counts.token_time),
    }


def _latency(histogram: Any) -> dict[str, Any]:
    count = int(histogram.sum())
    return {
        "state": "ok" if count else "no_data",
        "n": count,
        **{name: quantile_seconds(histogram, probability) for name, probability in _QUANTILES},
    }


def _route(
    plane: Plane,
    table: Mapping[str, Any],
    entry: Mapping[str, Any],
    totals: Mapping[ArmKey, Counts],
    recent: Recent,
) -> dict[str, Any]:
    name = entry["name"]
    record = plane.ledger.records.get(name)
    weights: dict[str, float] = {}
    roles: dict[str, list[str]] = {}
    upstreams: dict[str, Mapping[str, Any]] = {}
    split = entry["split"]
    for number, weight in zip(split["arms"], split.get("weights") or [1.0], strict=False):
        arm = table["arms"][number]
        variant = arm["variant"]
        weights[variant] = weights.get(variant, 0.0) + weight
        roles.setdefault(variant, []).append(arm["role"])
        upstreams[variant] = table["upstreams"][arm["upstream"]]
    scale = sum(weights.values()) or 1.0
    lately = {variant: _sum(recent.counts, name, variant) for variant in weights}
    routed = sum(counts.routed for counts in lately.values())
    return {
        "name": name,
        "split": split["kind"],
        "rollout": None if record is None else record.rollout.id,
        "diverting": plane.ledger.collector.diverting(name),
        "window_seconds": recent.seconds,
        "variants": [
            {
                "name": variant,
                "roles": roles[variant],
                "release": upstreams[variant]["release"],
                "endpoints": [endpoint["url"] for endpoint in upstreams[variant]["endpoints"]],
                "set_weight": weights[variant] / scale,
                "observed_weight": lately[variant].routed / routed if routed else None,
                "verdict": _verdict(record, variant),
                "last_minute": figures(lately[variant])
                | {
                    "requests_per_second": lately[variant].started / recent.seconds
                    if recent.seconds > 0
                    else None
                },
                "total": figures(_sum(totals, name, variant)),
            }
            for variant in weights
        ],
    }


def _verdict(record: Record | None, variant: str) -> str:
    if record is None or record.rollout.canary != variant:
        return "not_judged"
    return verdict_of(record)


def _sum(counts: Mapping[ArmKey, Counts], route: str, variant: str) -> Counts:
    total = NOTHING
    for key, found in counts.items():
        if key.route == route and key.variant == variant:
            total += found
    return total
