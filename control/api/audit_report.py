"""The compliance report over HTTP."""

import time
from typing import Final

import yaml
from aiohttp import web

from control.api.audit_filter import seconds
from control.api.description import Field, operation
from control.api.errors import ApiError
from control.api.keys import PLANE
from control.api.requests import json_response, only, origin_of
from control.audit.render import render
from control.audit.report import Period, read_report, report
from control.store import audit

_DEFAULT_SECONDS: Final = 30 * 86_400
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


def routes() -> list[web.RouteDef]:
    """The path of the report."""
    return [web.get("/v1/audit/report", get_report)]


@operation(
    query={
        "since": Field(kind="number", about="from when, in Unix seconds"),
        "until": Field(kind="number", about="until when, in Unix seconds"),
        "format": Field(about="how it is written", choices=("json", "yaml", "html"), default="json"),
    },
)
async def get_report(request: web.Request) -> web.Response:
    """The report of a period, by default the last 30 days; the log tells who asked for it."""
    only(request, {"since", "until", "format"})
    until = seconds(request, "until")
    until = time.time() if until is None else until
    since = seconds(request, "since")
    since = max(0.0, until - _DEFAULT_SECONDS) if since is None else since
    if since >= until:
        raise ApiError(400, "invalid_parameter", "since: is not before until", "give an earlier time")
    form = request.query.get("format", "json")
    if form not in ("json", "yaml", "html"):
        raise ApiError(400, "invalid_parameter", f"format: {form!r} is none", "use json, yaml or html")
    store = request.app[PLANE].ledger.store
    period = Period(since=since, until=until)
    made = await report(store, period)
    event = read_report(period, form=form, rows=made["total_events"])
    async with store.write() as connection:
        await audit.append(connection, [event], origin=origin_of(request), at=time.time(), config_digest="")
    if form == "html":
        return web.Response(text=render(made), content_type="text/html", charset="utf-8", headers=_HEADERS)
    if form == "yaml":
        text = yaml.safe_dump(made, sort_keys=False, allow_unicode=True)
        return web.Response(text=text, content_type="application/yaml", charset="utf-8", headers=_HEADERS)
    return json_response(made)
