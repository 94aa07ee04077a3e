"""What was decided and what was done: decisions with everything they were made from, and the audit log."""

from typing import Any

import orjson
from aiohttp import web

from control.api.audit_filter import FILTER_FIELDS, filter_of
from control.api.description import Field, operation
from control.api.errors import ApiError
from control.api.keys import PLANE
from control.api.requests import integer, json_response, only, page_size
from control.store import audit, audit_search, rollouts
from control.store.rollouts import StoredDecision

_SEQUENCE_MAX = 2**63 - 1


def routes() -> list[web.RouteDef]:
    """The paths of decisions and of the audit log."""
    return [
        web.get("/v1/decisions", list_decisions),
        web.get("/v1/decisions/{id}", get_decision),
        web.get("/v1/audit", list_events),
        web.get("/v1/audit/{id}", get_event),
    ]


@operation(
    query={
        "rollout": Field(about="only of this rollout or route"),
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
        "before": Field(about="only older ones than this id"),
    },
    errors=(404,),
)
async def list_decisions(request: web.Request) -> web.Response:
    """Decisions, newest first, of one rollout or of all; ``next`` continues the list."""
    only(request, {"rollout", "limit", "before"})
    plane = request.app[PLANE]
    limit = page_size(request)
    name = request.query.get("rollout")
    record = None if name is None else plane.controller.find(name)
    async with plane.ledger.store.read() as connection:
        found = await rollouts.recent_decisions(
            connection,
            limit=limit,
            rollout_id=name if record is None else record.rollout.id,
            before=request.query.get("before"),
        )
    return json_response(
        {
            "decisions": [decision_view(row) for row in found],
            "next": found[-1].id if len(found) == limit else None,
        }
    )


async def get_decision(request: web.Request) -> web.Response:
    """One decision with its analysis, evidence, thresholds and digests."""
    only(request, set())
    wanted = request.match_info["id"]
    async with request.app[PLANE].ledger.store.read() as connection:
        row = await rollouts.find_decision(connection, wanted)
    if row is None:
        raise ApiError(
            404, "unknown_decision", f"there is no decision {wanted!r}", "list them at /v1/decisions"
        )
    return json_response(orjson.loads(row.body))


@operation(
    query={
        **FILTER_FIELDS,
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
        "after": Field(kind="integer", about="only beyond this sequence number", lowest=0),
        "order": Field(about="which come first", choices=("oldest", "newest"), default="oldest"),
    },
)
async def list_events(request: web.Request) -> web.Response:
    """Audit events in the order they were written, or newest first; ``next`` continues the list."""
    wanted, extra = filter_of(request, {"limit", "after", "order"})
    order = extra.get("order", "oldest")
    if order not in ("oldest", "newest"):
        raise ApiError(400, "invalid_parameter", f"order: {order!r} is no order", "write oldest or newest")
    after = None
    if "after" in request.query:
        after = integer(request, "after", default=0, lowest=0, highest=_SEQUENCE_MAX)
    limit = page_size(request)
    async with request.app[PLANE].ledger.store.read() as connection:
        records = await audit_search.page(
            connection, wanted, limit=limit, after=after, newest_first=order == "newest"
        )
        size = await audit.size(connection)
    return json_response(
        {
            "events": [record.to_json() for record in records],
            "next": records[-1].sequence if len(records) == limit else None,
            "size": size,
        }
    )


async def get_event(request: web.Request) -> web.Response:
    """One audit event."""
    only(request, set())
    wanted = request.match_info["id"]
    async with request.app[PLANE].ledger.store.read() as connection:
        record = await audit_search.find(connection, wanted)
    if record is None:
        raise ApiError(404, "unknown_event", f"there is no event {wanted!r}", "list them at /v1/audit")
    return json_response(record.to_json())


def decision_view(row: StoredDecision) -> dict[str, Any]:
    """A decision without the evidence it can be computed from again, which is long."""
    body: dict[str, Any] = orjson.loads(row.body)
    del body["evidence"]
    return body
