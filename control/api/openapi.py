"""The API's own description (OpenAPI 3.1), made from what the handlers say they take."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

from aiohttp import web

from control.api.description import Field, Operation, operation, operation_of, query_of
from control.api.requests import json_response
from proxy.release import version as release_version

_PATH: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_ERRORS: Final = {
    400: "The request is malformed.",
    401: "There is no token, or a wrong one.",
    403: "The token's role is too low, or this person may not do it.",
    404: "What was named does not exist.",
    409: "The state of things does not allow it.",
    413: "The body is too large.",
    422: "It cannot come into force, or an artifact is not what it should be.",
    429: "It is more at once than can be taken.",
    503: "The control process is away or busy.",
}
_ERROR_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "message", "remedy")},
            "required": ["code", "message", "remedy"],
        }
    },
    "required": ["error"],
}
# The agent's own line: never reachable through the admin address.
_PRIVATE: Final = ("/v1/config", "/v1/watch", "/v1/statistics", "/v1/violations")


def routes() -> list[web.RouteDef]:
    """The path of the description."""
    return [web.get("/v1/openapi.json", get_description)]


@operation()
async def get_description(request: web.Request) -> web.Response:
    """This description."""
    query_of(request)
    return json_response(document(request.app, release_version()))


def document(application: web.Application, version: str) -> dict[str, Any]:
    """The OpenAPI document of every path of *application* but the agent's own."""
    paths: dict[str, dict[str, Any]] = {}
    for route in application.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if route.method == "HEAD" or not path or path in _PRIVATE:
            continue
        paths.setdefault(_PATH.sub(r"{\1}", path), {})[route.method.lower()] = _operation(route, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headgate control API",
            "version": version,
            "description": "Answered by the admin address. Times of the registry are RFC 3339 in UTC.",
        },
        "security": [{"token": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Error": _ERROR_SCHEMA},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: web.AbstractRoute, path: str) -> dict[str, Any]:
    said = operation_of(route.handler) or Operation(errors=(404, 409))
    described: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', path).rstrip('_')}",
        "summary": (inspect.getdoc(route.handler) or "").split("\n\n")[0].replace("\n", " "),
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in _PATH.findall(path)
            ),
            *(_parameter(name, entry) for name, entry in said.query.items()),
        ],
        "responses": {
            str(said.status): {"description": "Done.", "content": {said.answer: {"schema": {}}}},
            **{str(status): _error(status) for status in sorted({400, 401, 403, 413, 503, *said.errors})},
        },
    }
    if said.body is not None:
        required = [name for name, entry in said.body.items() if entry.required]
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: entry.schema() for name, entry in said.body.items()},
            "additionalProperties": False,
        }
        if required:
            schema["required"] = required
        described["requestBody"] = {
            "required": bool(required),
            "content": {"application/json": {"schema": schema}},
        }
    if said.takes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        described["requestBody"] = {"required": True, "content": {said.takes: binary}}
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _parameter(name: str, entry: Field) -> dict[str, Any]:
    schema = entry.schema()
    about = schema.pop("description")
    return {"name": name, "in": "query", "required": entry.required, "description": about, "schema": schema}


def _error(status: int) -> dict[str, Any]:
    return {
        "description": _ERRORS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
