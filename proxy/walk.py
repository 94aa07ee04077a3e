"""The walk of a rolling split: which endpoints of its two upstreams take part at a weight, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

# Endpoint weights are whole numbers; an endpoint in transition gets a fraction of its own in these steps.
SCALE: Final = 1000

Endpoints = list[dict[str, Any]]


def arriving(endpoints: Sequence[Mapping[str, Any]], weight: float) -> Endpoints:
    """The endpoints of the new release: those before `weight` of the list in full, the one there in part.

    At weight 0 all of them are listed: nothing is sent there except what names the variant.
    """
    return _walked(endpoints, weight) or _walked(endpoints, 1.0)


def leaving(endpoints: Sequence[Mapping[str, Any]], weight: float) -> Endpoints:
    """The endpoints of the old release: those behind `weight` of the list in full, the one there in part.

    At weight 1 all of them are listed: they are what a divert or a rollback falls back to.
    """
    kept = _walked(list(reversed(endpoints)), 1.0 - weight)
    return list(reversed(kept)) or _walked(endpoints, 1.0)


def _walked(endpoints: Sequence[Mapping[str, Any]], share: float) -> Endpoints:
    """The first part `share` of the endpoints by number."""
    passed = share * len(endpoints)
    found: Endpoints = []
    for index, endpoint in enumerate(endpoints):
        part = min(1.0, passed - index)
        # Shares are decimal fractions: what is left of 0.3 * 10 - 3 is rounding.
        if part < 1e-9:
            break
        found.append({**endpoint, "weight": max(1, round(part * SCALE * endpoint["weight"]))})
    return found


def walked_upstreams(
    route: str, weight: float, stable: Mapping[str, Any], canary: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Entries of a table for the two upstreams of one route, which other routes go on using in full."""
    return (
        {**stable, "name": f"{stable['name']}@{route}", "endpoints": leaving(stable["endpoints"], weight)},
        {**canary, "name": f"{canary['name']}@{route}", "endpoints": arriving(canary["endpoints"], weight)},
    )
