"""Deployments over HTTP: make one, list them, look at one, tell one what to do."""

from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from control.api.description import Field, operation
from control.api.keys import PLANE
from control.api.requests import choice, json_object, json_response, only, origin_of, page_size, reason_of
from control.deployments.deployment import Deployment
from control.deployments.service import Act
from control.deployments.states import TRANSITIONS, Status
from control.plane import Plane
from control.store import undertakings
from control.store.undertakings import Undertaking


def routes() -> list[web.RouteDef]:
    """The paths of deployments."""
    return [
        web.get("/v1/deployments", list_deployments),
        web.post("/v1/deployments", create_deployment),
        web.get("/v1/deployments/{id}", get_deployment),
        *(web.post(f"/v1/deployments/{{id}}/{act}", act_on_deployment) for act in Act),
    ]


@operation(
    query={
        "status": Field(about="only those that stand so"),
        "environment": Field(about="only those for this environment"),
        "route": Field(about="only those of this route"),
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
        "before": Field(about="only older ones than this id"),
    },
)
async def list_deployments(request: web.Request) -> web.Response:
    """Newest first; filtered by status, environment and route."""
    only(request, {"status", "environment", "route", "limit", "before"})
    status = choice(request, "status", Status)
    plane, limit = request.app[PLANE], page_size(request)
    async with plane.ledger.store.read() as connection:
        rows = await undertakings.listed(
            connection,
            undertakings.DEPLOYMENTS,
            limit=limit,
            before=request.query.get("before"),
            status=status,
            label=request.query.get("environment"),
            route=request.query.get("route"),
        )
    found = deployments_of(plane, rows)
    return json_response(
        {
            "deployments": [deployment_view(each) for each in found],
            "next": rows[-1].id if len(rows) == limit else None,
        }
    )


@operation(
    body={
        "route": Field(about="where", required=True),
        "strategy": Field(about="how", required=True),
        "upstream": Field(about="what: an upstream of the configuration, or a new name"),
        "endpoints": Field(kind="texts", about="URLs of a new upstream"),
        "release": Field(about="which release a new upstream serves"),
        "environment": Field(about="where it counts", default="production"),
        "settings": Field(kind="object", about="parameters of the strategy"),
        "reason": Field(about="why; kept in history and audit log", default="", highest=1000),
        "lift_quarantine": Field(
            kind="boolean", about="whether a release that was rolled back may be tried again", default=False
        ),
    },
    status=201,
    errors=(404, 409, 422),
)
async def create_deployment(request: web.Request) -> web.Response:
    """Record a deployment; the control loop begins it at its next tick."""
    body = await json_object(request)
    made = await request.app[PLANE].loop.deployments.create(body, origin_of(request))
    return json_response(deployment_view(made), status=201)


async def get_deployment(request: web.Request) -> web.Response:
    """One deployment, by its id, or the one in charge of a route."""
    only(request, set())
    found = await request.app[PLANE].loop.deployments.get(request.match_info["id"])
    return json_response(deployment_view(found))


@operation(
    body={"reason": Field(about="why; kept in history and audit log", default="", highest=1000)},
    errors=(404, 409),
)
async def act_on_deployment(request: web.Request) -> web.Response:
    """Promote, pause, resume, roll back or cancel."""
    act = Act(request.path.rpartition("/")[2])
    reason = reason_of(await json_object(request, required=False))
    found = await request.app[PLANE].loop.deployments.act(
        request.match_info["id"], act, reason, origin_of(request)
    )
    return json_response(deployment_view(found))


def deployments_of(plane: Plane, rows: Sequence[Undertaking]) -> list[Deployment]:
    """Those in charge as they are now, the others as they were stored."""
    live = {each.id: each for each in plane.ledger.deployments.values()}
    return [live.get(row.id) or Deployment.from_json(orjson.loads(row.document)) for row in rows]


def deployment_view(deployment: Deployment) -> dict[str, Any]:
    """A deployment as the API shows it."""
    plain = deployment.to_json()
    for internal in ("base", "upstreams", "phase_since", "mark"):
        plain.pop(internal)
    return plain | {"accepts": [event.name.lower() for event in TRANSITIONS[deployment.status]]}
