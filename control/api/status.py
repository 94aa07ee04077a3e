"""Everything at one look: the process, the configuration, routes, rollouts, what is quarantined."""

import os
from typing import Any

from aiohttp import web

from control.api.figures import routes_view
from control.api.keys import PLANE
from control.api.requests import json_response, only
from control.api.views import quarantine_view, rollout_view
from control.plane import Plane


def routes() -> list[web.RouteDef]:
    """The path of the status."""
    return [web.get("/v1/status", get_status)]


async def get_status(request: web.Request) -> web.Response:
    """What `headgate status` shows."""
    only(request, set())
    return json_response(status_view(request.app[PLANE]))


def status_view(plane: Plane) -> dict[str, Any]:
    """The same as a value. Times are Unix seconds."""
    ledger, loop, clock = plane.ledger, plane.loop, plane.controller.clock
    now = clock.steady()
    active = ledger.active
    return {
        "at": clock.wall(),
        "process": {
            "version": plane.version,
            "pid": os.getpid(),
            "started_at": plane.started_at,
            "uptime_seconds": max(0.0, clock.wall() - plane.started_at),
            "store": ledger.store.place,
            "term": ledger.store.term,
            "tick_seconds": loop.tick_seconds,
            "ticks": loop.ticks,
            "tick_failures": loop.failures,
            "trouble": loop.trouble.text,
            "last_tick_seconds": loop.last_seconds,
            "watchers": ledger.publisher.watchers,
        },
        "revision": ledger.revision,
        "config": None
        if active is None
        else {"digest": active.digest, "source": active.source, "accepted_at": active.accepted_at},
        "nodes": [
            {
                "node": boot[0],
                "boot": boot[1],
                "revision": heard.revision,
                "heard_seconds_ago": max(0.0, now - heard.at),
            }
            for boot, heard in sorted(ledger.collector.heard().items())
        ],
        "routes": routes_view(plane),
        "rollouts": [rollout_view(plane, record) for record in ledger.records.values()],
        "quarantine": [quarantine_view(row) for row in ledger.quarantine.values()],
    }
