"""Reads what a request carries: JSON bodies, query parameters and who sent it."""

from collections.abc import Collection
from enum import Enum
from typing import Any, Final

import orjson
from aiohttp import web

from control.api.errors import ApiError
from control.audit.events import Origin
from proxy.auth import Role
from proxy.forward import ACTOR_HEADER, ADDRESS_HEADER, ROLE_HEADER

_REASON_MAX: Final = 1000
_PAGE_DEFAULT: Final = 50
_PAGE_MAX: Final = 1000


def role_of(request: web.Request) -> Role:
    """The sender's role, as the agent says; whoever may open the socket itself may do everything."""
    word = request.headers.get(ROLE_HEADER)
    return Role.ADMIN if word is None else Role.__members__.get(word.upper(), Role.VIEWER)


async def json_object(request: web.Request, *, required: bool = True) -> dict[str, Any]:
    """The body as a JSON object; an empty one when nothing was sent and *required* is false."""
    body = await request.read()
    if not body and not required:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid_json", f"the body is not JSON: {error}", "send a JSON object") from error
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_body", "the body is not a JSON object", "send an object in braces")
    return value


def origin_of(request: web.Request) -> Origin:
    """Who sent the request, as the agent says; whoever may open the socket itself is ``local``."""
    return Origin(
        actor=_short(request.headers.get(ACTOR_HEADER, "")) or "local",
        address=_short(request.headers.get(ADDRESS_HEADER, "")),
        user_agent=_short(request.headers.get("User-Agent", "")),
    )


def reason_of(body: dict[str, Any], *others: str) -> str:
    """The field ``reason``: text of limited length, may be left out. *others* may be in the body besides."""
    unknown = body.keys() - {"reason", *others}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ApiError(
            400,
            "unknown_field",
            f"{names}: not a field of a command",
            f"send only {', '.join(('reason', *others))}",
        )
    reason = body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > _REASON_MAX:
        raise ApiError(
            400, "invalid_reason", f"reason is not a text of at most {_REASON_MAX} characters", "shorten it"
        )
    return reason.strip()


def flag_of(body: dict[str, Any], name: str) -> bool:
    """A field that is true or false; false when left out."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise ApiError(400, "invalid_body", f"{name}: is not true or false", f"send {name}: true")
    return value


def only(request: web.Request, known: Collection[str]) -> None:
    """Refuse query parameters that are not *known*: a misspelt filter must not pass for an empty one."""
    for name in request.query:
        if name not in known:
            raise ApiError(
                400,
                "unknown_parameter",
                f"{name}: is not a parameter of {request.path}",
                f"use {', '.join(sorted(known)) or 'none'}",
            )


def choice(request: web.Request, name: str, known: type[Enum]) -> str | None:
    """The name of a member of *known*, in any case, among the query parameters; None when left out."""
    text = request.query.get(name)
    if text is not None and text.upper() not in known.__members__:
        names = ", ".join(each.name.lower() for each in known)
        raise ApiError(400, "invalid_parameter", f"{name}: {text!r} is none", f"use one of {names}")
    return text


def page_size(request: web.Request) -> int:
    """The parameter ``limit``."""
    return integer(request, "limit", default=_PAGE_DEFAULT, lowest=1, highest=_PAGE_MAX)


def integer(request: web.Request, name: str, *, default: int, lowest: int, highest: int) -> int:
    """A whole number among the query parameters."""
    text = request.query.get(name)
    if text is None:
        return default
    # Python converts no text of thousands of digits.
    short = text.isascii() and text.isdigit() and len(text) < 20
    if not short or not lowest <= int(text) <= highest:
        raise ApiError(
            400,
            "invalid_parameter",
            f"{name}: {text[:40]!r} is not a number from {lowest} to {highest}",
            f"write {name}={default}",
        )
    return int(text)


def json_response(value: object, *, status: int = 200) -> web.Response:
    """*value* as JSON, not to be cached."""
    return web.Response(
        status=status,
        body=orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _short(text: str) -> str:
    return text[:256]
