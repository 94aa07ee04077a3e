"""What the API answers when it cannot do what was asked: one shape for every error."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from aiohttp import web

from control.errors import HeadgateError
from control.store.trouble import trouble_of

log: Final = logging.getLogger("headgate.api")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    """An answer other than success: `code` is for programs, `message` and `remedy` are for people."""

    def __init__(self, status: int, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy


_PLAIN: Final[dict[int, tuple[str, str, str]]] = {
    404: ("not_found", "there is nothing at this path", "see docs/api.md for the paths"),
    405: ("method_not_allowed", "this path does not take that method", "see docs/api.md for the methods"),
    413: ("body_too_large", "the body is larger than this path takes", "send less"),
}


def error_response(status: int, code: str, message: str, remedy: str) -> web.Response:
    """An error as JSON."""
    body = {"error": {"code": code, "message": message, "remedy": remedy}}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception into its answer; what nobody expected is logged and answered with 500."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error.status, error.code, error.message, error.remedy)
    except HeadgateError as error:
        return error_response(error.status, error.code, error.message, error.remedy)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code, message, remedy = _PLAIN.get(error.status, ("error", error.reason, "see docs/api.md"))
        response = error_response(error.status, code, message, remedy)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception as error:
        if (trouble := trouble_of(error)) is not None:
            log.error("%s %s failed: %s", request.method, request.path, trouble[0])
            return error_response(503, "store_unavailable", *trouble)
        log.exception("%s %s failed", request.method, request.path)
        return error_response(
            500, "internal", "the control plane failed to answer", "look into its log and try again"
        )
