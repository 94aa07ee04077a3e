"""What a shadow has shown, as one plain value: for the API, the command and the page."""

from __future__ import annotations

from typing import Any, Final

from control.counts import quantile_seconds
from control.shadows.counts import ShadowTotals
from control.shadows.gate import quantile_ratio
from control.stats.intervals import wilson
from control.stats.sequences import proportion_interval
from proxy.compare.tallies import ratio_edge

PATHS_SHOWN: Final = 20
CONFIDENCE: Final = 0.95


def shadow_report(totals: ShadowTotals) -> dict[str, Any]:
    """Counts of copies, agreement, latencies of both sides, what differs; JSON values, times in seconds."""
    mirrored = totals.mirrored
    return {
        "requests": {
            "eligible": totals.get("eligible"),
            "mirrored": mirrored,
            "skipped": totals.get("skipped"),
            # Copies that live workers still hold, and those that killed workers took along.
            "held_or_lost": totals.get("eligible") - mirrored - totals.get("skipped"),
            "skipped_by_reason": _by_reason(totals, "skip"),
            "mirrored_by_size": totals.under("mirrored"),
        },
        "answers": totals.under("answer"),
        "lost": totals.get("lost"),
        "pairs": _pairs(totals),
        "agreement": agreement_view(totals),
        "latency": {
            "primary": _latency(totals, "primary_us"),
            "shadow": _latency(totals, "shadow_us"),
            "ratio": ratio_view(totals),
        },
        "differences": {
            "by_kind": totals.under("kind"),
            "paths": _paths(totals),
        },
        "samples": list(totals.samples),
    }


def _pairs(totals: ShadowTotals) -> dict[str, Any]:
    """What became of copies that have ended; the parts of `handed_over` add up to it."""
    handed_over, lost = totals.get("paired"), totals.get("pairs_lost")
    unpaired = _by_reason(totals, "unpaired")
    return {
        "handed_over": handed_over,
        "compared": totals.compared,
        "lost_by_comparer": lost,
        # On their way to the comparing process, in it, or taken along by a worker or agent that was killed.
        "waiting_or_lost": handed_over - totals.compared - lost,
        "not_compared": {reason: sum(sizes.values()) for reason, sizes in unpaired.items()},
        "not_compared_by_size": unpaired,
    }


def agreement_view(totals: ShadowTotals) -> dict[str, Any]:
    """The share of pairs that agree, with an interval for one look and one for every look."""
    compared, agreed = totals.compared, totals.get("agreed")
    low, high = proportion_interval(agreed, compared, 1.0 - CONFIDENCE)
    return {
        "compared": compared,
        "agreed": agreed,
        "rate": agreed / compared if compared else None,
        "wilson": list(wilson(agreed, compared, CONFIDENCE)),
        "sequence": [low, high],
        "confidence": CONFIDENCE,
    }


def ratio_view(totals: ShadowTotals) -> dict[str, Any]:
    """Shadow / primary over the pairs: its median with an interval that holds at every look, and its p95.

    A ratio is left out where the share of pairs below it is shown to be less, or more, than half.
    """
    ratios = totals.histogram("ratio").tolist()
    count = sum(ratios)
    below = 0
    low: float | None = 0.0 if count else None
    high: float | None = None
    for place, here in enumerate(ratios):
        if not here:
            continue
        # What is known at the edge before this bucket, and at the one behind it.
        if proportion_interval(below, count, 1.0 - CONFIDENCE)[1] < 0.5:
            low = ratio_edge(place - 1)
        below += here
        if proportion_interval(below, count, 1.0 - CONFIDENCE)[0] > 0.5:
            high = ratio_edge(place)
            break
    return {
        "median": quantile_ratio(totals, 0.5),
        "interval": None if low is None or high is None else [low, high],
        "p95": quantile_ratio(totals, 0.95),
        "pairs": count,
    }


def _latency(totals: ShadowTotals, name: str) -> dict[str, Any]:
    histogram = totals.histogram(name)
    count = int(histogram.sum())
    total = totals.get("primary_sum_us" if name == "primary_us" else "shadow_sum_us")
    return {
        "count": count,
        "mean": total / count / 1e6 if count else None,
        **{f"p{share}": quantile_seconds(histogram, share / 100) for share in (50, 95, 99)},
    }


def _by_reason(totals: ShadowTotals, kind: str) -> dict[str, dict[str, int]]:
    """Counts of a kind, by reason and then by size of the request's body."""
    found: dict[str, dict[str, int]] = {}
    for name, count in totals.under(kind).items():
        reason, _, size = name.partition(":")
        found.setdefault(reason, {})[size] = count
    return found


def _paths(totals: ShadowTotals) -> list[dict[str, Any]]:
    found = []
    for name, count in totals.under("path").items():
        kind, _, path = name.partition(":")
        found.append({"path": path, "kind": kind, "pairs": count})
    found.sort(key=lambda entry: (-int(str(entry["pairs"])), str(entry["path"])))
    return found[:PATHS_SHOWN]
