"""What only an agent may ask, over the socket: take a configuration, take counts, watch the table."""

import asyncio
import contextlib
import time
from typing import Final

from aiohttp import web

from control.api.errors import ApiError
from control.api.keys import PLANE
from control.api.requests import integer, json_object, json_response, only, origin_of
from control.audit.events import Origin
from control.audit.kinds.access import SecurityViolation
from control.configuration import ConfigurationError
from control.publish import Published, TooManyWatchersError
from control.report_values import ReportError
from control.reports import parse_report
from control.store import audit
from proxy.forward import ACTOR_HEADER, ADDRESS_HEADER

HEARTBEAT_SECONDS: Final = 5.0
# A reader that takes nothing for this long is gone; it comes back by itself.
_WRITE_SECONDS: Final = 30.0
_REVISION_MAX: Final = 2**53
# Twice what an agent gathers between two reports.
_VIOLATIONS_MAX: Final = 64


def routes() -> list[web.RouteDef]:
    """The paths of the link."""
    return [
        web.put("/v1/config", put_config),
        web.get("/v1/watch", watch, allow_head=False),
        web.post("/v1/statistics", post_statistics),
        web.post("/v1/violations", post_violations),
    ]


async def put_config(request: web.Request) -> web.Response:
    """A configuration that the agent has checked: 200 with its revision, or 422 with what is wrong."""
    _refuse_forwarded(request)
    body = await json_object(request)
    digest, source = body.get("digest"), body.get("source", "")
    seen = body.get("revision", 0)
    if not isinstance(digest, str) or not 0 < len(digest) <= 80:
        raise ApiError(400, "invalid_body", "digest: must be a text of 1 to 80 characters", "send the digest")
    if not isinstance(source, str) or isinstance(seen, bool) or not isinstance(seen, int):
        raise ApiError(400, "invalid_body", "source must be text, revision a number", "correct the body")
    if not 0 <= seen <= _REVISION_MAX:
        raise ApiError(400, "invalid_body", f"revision: {seen} is out of range", "send the table's revision")
    try:
        revision = await request.app[PLANE].controller.configure(
            body.get("config"), digest=digest, source=source, origin=origin_of(request), seen=seen
        )
    except ConfigurationError as error:
        return json_response({"errors": error.errors}, status=422)
    return json_response({"revision": revision})


async def post_statistics(request: web.Request) -> web.Response:
    """Cumulative counts of one boot. 200 means that they will not be lost."""
    _refuse_forwarded(request)
    try:
        report = parse_report(await json_object(request))
    except ReportError as error:
        raise ApiError(400, "invalid_report", str(error), "send what docs/api.md describes") from error
    taken = await request.app[PLANE].controller.take(report)
    return json_response({"accepted": taken.accepted, "stale": taken.stale, "dropped": taken.dropped})


async def post_violations(request: web.Request) -> web.Response:
    """What was tried on the admin address and not allowed: one audit event for each kind of attempt."""
    _refuse_forwarded(request)
    body = await json_object(request)
    attempts = body.get("violations")
    if not isinstance(attempts, list) or len(attempts) > _VIOLATIONS_MAX:
        message = f"violations: must be a list of at most {_VIOLATIONS_MAX}"
        raise ApiError(400, "invalid_body", message, "send fewer")
    events = [_violation(attempt) for attempt in attempts]
    ledger = request.app[PLANE].ledger
    digest = "" if ledger.active is None else ledger.active.digest
    async with ledger.store.write() as connection:
        for origin, event in events:
            await audit.append(connection, [event], origin=origin, at=time.time(), config_digest=digest)
    return json_response({"written": len(events)})


def _violation(value: object) -> tuple[Origin, SecurityViolation]:
    if not isinstance(value, dict) or not isinstance(value.get("reason"), str):
        raise ApiError(400, "invalid_body", "violations: each needs a reason", "say what was tried")
    what = {key: value[key] for key in ("code", "method", "path", "times") if key in value}
    origin = Origin(actor=str(value.get("actor") or "unknown"), address=str(value.get("address") or ""))
    return origin, SecurityViolation(resource_id="admin", reason=value["reason"], what=what)


async def watch(request: web.Request) -> web.StreamResponse:
    """Each table as a server-sent event, beginning with the newest unless the watcher has it."""
    _refuse_forwarded(request)
    only(request, {"revision"})
    known = integer(request, "revision", default=0, lowest=0, highest=_REVISION_MAX)
    plane = request.app[PLANE]
    if known > plane.ledger.revision:
        await plane.controller.skip_to(known)
    try:
        watching = plane.ledger.publisher.watch()
    except TooManyWatchersError as error:
        raise ApiError(503, "too_many_watchers", str(error), "try again later") from error
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    # A watcher that goes away, an agent that was killed for one, is no failure of ours.
    with watching, contextlib.suppress(ConnectionResetError):
        await response.prepare(request)
        # At once, so that a watcher with the newest table learns that it is connected.
        await _send(response, b": watching\n\n")
        while True:
            try:
                table = await watching.next(known, within=HEARTBEAT_SECONDS)
            except TimeoutError:
                await _send(response, b": heartbeat\n\n")
                continue
            if table is None:
                break
            await _send(response, _event(table))
            known = table.revision
    return response


def _event(table: Published) -> bytes:
    return b"event: table\nid: %d\ndata: %b\n\n" % (table.revision, table.payload)


async def _send(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_WRITE_SECONDS):
        await response.write(data)


def _refuse_forwarded(request: web.Request) -> None:
    """The agent forwards what comes to its admin address; none of that may pass for the agent itself."""
    if ACTOR_HEADER in request.headers or ADDRESS_HEADER in request.headers:
        raise ApiError(404, "not_found", "there is nothing at this path", "see docs/api.md for the paths")
