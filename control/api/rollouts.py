"""Rollouts over HTTP: list them, look at one, tell one what to do."""

from typing import Final

from aiohttp import web

from control.api.description import Field, operation
from control.api.errors import ApiError
from control.api.history import decision_view
from control.api.keys import PLANE
from control.api.requests import flag_of, json_object, json_response, only, origin_of, page_size, reason_of
from control.api.views import past_rollout_view, rollout_view
from control.controller import UnknownRolloutError
from control.rollout.commands import Refused, Verb
from control.store import rollouts as store

_DECISIONS: Final = 20


def routes() -> list[web.RouteDef]:
    """The paths of rollouts."""
    return [
        web.get("/v1/rollouts", list_rollouts),
        web.get("/v1/rollouts/{name}", get_rollout),
        *(web.post(f"/v1/rollouts/{{name}}/{verb}", command) for verb in Verb),
    ]


@operation(
    query={
        "all": Field(kind="boolean", about="those that are over, too", default=False),
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
    },
)
async def list_rollouts(request: web.Request) -> web.Response:
    """The rollouts in charge, and with ``all`` those of the past, newest first."""
    only(request, {"all", "limit"})
    plane = request.app[PLANE]
    current = [rollout_view(plane, record) for record in plane.ledger.records.values()]
    if request.query.get("all", "false") not in ("true", "1", ""):
        return json_response({"rollouts": current})
    async with plane.ledger.store.read() as connection:
        rows = await store.recent_rollouts(connection, limit=page_size(request))
    past = [past_rollout_view(row) for row in rows if not row.current]
    return json_response({"rollouts": current + past})


async def get_rollout(request: web.Request) -> web.Response:
    """One rollout, by the name of its route or by its id, with its latest decisions."""
    only(request, set())
    plane = request.app[PLANE]
    name = request.match_info["name"]
    record = plane.controller.find(name)
    async with plane.ledger.store.read() as connection:
        if record is not None:
            view = rollout_view(plane, record)
        elif (row := await store.find_rollout(connection, name)) is not None:
            view = past_rollout_view(row)
        else:
            raise _unknown(name, plane.controller.names())
        decisions = await store.recent_decisions(connection, limit=_DECISIONS, rollout_id=view["id"])
    return json_response(view | {"decisions": [decision_view(row) for row in decisions]})


@operation(
    body={
        "reason": Field(about="why; kept in history and audit log", default="", highest=1000),
        "override_freeze": Field(kind="boolean", about="act although the route is frozen", default=False),
    },
    errors=(404, 409),
)
async def command(request: web.Request) -> web.Response:
    """Promote, pause, resume, abort, roll back or restart: answered when it is written down and published."""
    plane = request.app[PLANE]
    name = request.match_info["name"]
    verb = Verb(request.path.rpartition("/")[2])
    body = await json_object(request, required=False)
    reason = reason_of(body, "override_freeze")
    try:
        record = await plane.controller.command(
            name, verb, reason, origin_of(request), override_freeze=flag_of(body, "override_freeze")
        )
    except UnknownRolloutError as error:
        raise _unknown(error.name, error.known) from error
    except Refused as refused:
        raise ApiError(409, refused.code, refused.message, refused.remedy) from refused
    if record is None:
        return json_response({"route": name, "state": "none", "revision": plane.ledger.revision})
    return json_response(rollout_view(plane, record))


def _unknown(name: str, known: list[str]) -> ApiError:
    return ApiError(
        404,
        "unknown_rollout",
        f"there is no rollout {name!r}",
        f"use one of: {', '.join(known)}" if known else "give a route of kind canary a rollout",
    )
