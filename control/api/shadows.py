"""What shadows have shown: copies and their reasons, agreement, latencies, what differs."""

from typing import Any

from aiohttp import web

from control.api.errors import ApiError
from control.api.keys import PLANE
from control.api.requests import json_response, only
from control.plane import Plane
from control.shadows.counts import ShadowKey
from control.shadows.report import agreement_view, ratio_view, shadow_report


def routes() -> list[web.RouteDef]:
    """The paths of shadows."""
    return [web.get("/v1/shadows", list_shadows), web.get("/v1/shadows/{route}/{shadow}", get_shadow)]


async def list_shadows(request: web.Request) -> web.Response:
    """Every shadow of the table in force."""
    only(request, set())
    return json_response({"shadows": shadows_view(request.app[PLANE])})


async def get_shadow(request: web.Request) -> web.Response:
    """One shadow."""
    only(request, set())
    route, name = request.match_info["route"], request.match_info["shadow"]
    found = shadows_view(request.app[PLANE])
    for shadow in found:
        if (shadow["route"], shadow["shadow"]) == (route, name):
            return json_response(shadow)
    known = ", ".join(f"{shadow['route']}/{shadow['shadow']}" for shadow in found) or "none"
    raise ApiError(404, "unknown_shadow", f"there is no shadow {name!r} on {route!r}", f"there are: {known}")


def shadows_view(plane: Plane) -> list[dict[str, Any]]:
    """Every shadow as a value."""
    ledger = plane.ledger
    noise = {(key.route, key.shadow): key for key in ledger.shadow_keys() if key.role == "noise"}
    return [
        _view(plane, key, noise.get((key.route, key.shadow)))
        for key in ledger.shadow_keys()
        if key.role == "shadow"
    ]


def _view(plane: Plane, key: ShadowKey, noise: ShadowKey | None) -> dict[str, Any]:
    ledger = plane.ledger
    view: dict[str, Any] = {"route": key.route, "shadow": key.shadow, "stage": key.stage}
    view |= _configured(plane, key)
    totals = ledger.shadows.total(key)
    view["began"] = totals.began
    view |= shadow_report(totals)
    # How often the version in production differs from itself: apart from, never subtracted from, the rest.
    view["noise_floor"] = None
    if noise is not None:
        own = ledger.shadows.total(noise)
        view["noise_floor"] = {
            "agreement": agreement_view(own),
            "latency_ratio": ratio_view(own),
            "by_kind": own.under("kind"),
        }
    # Other rules or versions are another comparison: what they found is kept apart, and no gate looks at it.
    view["earlier"] = [
        {
            "stage": other.stage,
            "began": found.began,
            "ended": found.ended,
            "agreement": agreement_view(found),
            "latency_ratio": ratio_view(found),
        }
        for other, found in ledger.shadows.earlier(key)
    ]
    view["gate"] = _gate(plane, key)
    return view


def _configured(plane: Plane, key: ShadowKey) -> dict[str, Any]:
    active = plane.ledger.active
    for route in () if active is None else active.config.routes:
        for shadow in route.shadows:
            if (route.name, shadow.label) == (key.route, key.shadow):
                return {
                    "upstream": shadow.upstream,
                    "share": shadow.share,
                    "compare_share": shadow.compare.share,
                    "ignore": list(shadow.compare.json_.ignore),
                }
    return {"upstream": key.shadow, "share": None, "compare_share": None, "ignore": []}


def _gate(plane: Plane, key: ShadowKey) -> dict[str, Any] | None:
    record = plane.ledger.records.get(key.route)
    if record is None or record.rollout.finished:
        return None
    gate = record.plan.step(record.rollout.step).shadow
    finding = plane.ledger.shadow_finding(record)
    if gate is None or gate.shadow != key.shadow or finding is None:
        return None
    return {
        "verdict": finding.verdict.name.lower(),
        "reason": finding.reason,
        "figures": dict(finding.figures),
    }
