"""Which events a request asks for."""

from typing import Final

from aiohttp import web

from control.api.description import Field
from control.api.errors import ApiError
from control.api.requests import only
from control.store.audit_search import AuditFilter

_SEVERITIES: Final = ("info", "warning", "error", "critical")
FILTER_FIELDS: Final = {
    "type": Field(about="only of this type"),
    "actor": Field(about="only what this person did"),
    "severity": Field(about="only as grave as this", choices=_SEVERITIES),
    "resource": Field(about="only about this: approval:p-01m8, or approval"),
    "since": Field(kind="number", about="only from then on, in Unix seconds", lowest=0),
    "until": Field(kind="number", about="only before then, in Unix seconds", lowest=0),
    "tag": Field(about="only with this tag; may be repeated"),
}


def filter_of(request: web.Request, others: set[str]) -> tuple[AuditFilter, dict[str, str]]:
    """The filter among the query parameters, and the values of the *others* that may stand beside it."""
    only(request, {*FILTER_FIELDS, *others})
    kind, _, resource = request.query.get("resource", "").partition(":")
    severity = request.query.get("severity")
    if severity is not None and severity not in _SEVERITIES:
        raise ApiError(
            400, "invalid_parameter", f"severity: {severity!r} is none", f"use {', '.join(_SEVERITIES)}"
        )
    wanted = AuditFilter(
        type=request.query.get("type"),
        actor=request.query.get("actor"),
        severity=severity,
        resource_type=kind or None,
        resource_id=resource or None,
        since=seconds(request, "since"),
        until=seconds(request, "until"),
        tags=tuple(request.query.getall("tag", [])),
    )
    return wanted, {name: request.query[name] for name in others if name in request.query}


def seconds(request: web.Request, name: str) -> float | None:
    """A time among the query parameters, in Unix seconds."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1e11:
        raise ApiError(
            400, "invalid_parameter", f"{name}: {text!r} is not Unix seconds", "write e.g. 1700000000"
        )
    return value
