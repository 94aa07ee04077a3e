"""Passes admin requests on to control, saying who sent them and nothing that they claim about themselves."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from proxy.auth import DeniedError, Principal
from proxy.control_link import BASE, ControlLink

# The agent's own line to control: whoever could write here could invent tables and statistics.
PRIVATE: Final = ("/v1/config", "/v1/watch", "/v1/statistics", "/v1/violations")

# Bodies below this path are not read before they are passed on.
STREAMED: Final = "/v1/artifacts/"

ACTOR_HEADER: Final = "X-Headgate-Actor"
ROLE_HEADER: Final = "X-Headgate-Role"
ADDRESS_HEADER: Final = "X-Headgate-Address"
# Sent for browsers that are signed in, and so can sign out.
SESSION_HEADER: Final = "X-Headgate-Session"
# In control's answers to orders: the table that carries them out.
REVISION_HEADER: Final = "X-Headgate-Revision"

# What control may see of a request. A list of what passes also stops what nobody thought of.
REQUEST_HEADERS: Final = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Content-Type",
    "If-Modified-Since",
    "If-None-Match",
    "Last-Event-ID",
    "User-Agent",
)
HOP_BY_HOP: Final = frozenset(
    [
        "connection",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Turns of the loop in which a close that is there already is read after the request before it.
CLOSE_TURNS: Final = 3

# Streams of events beat more often than this.
SILENCE_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 2.0


async def forward(
    request: web.Request,
    link: ControlLink | None,
    principal: Principal,
    *,
    by_session: bool = False,
    in_use: Callable[[int], Awaitable[None]] | None = None,
) -> web.StreamResponse:
    """Answer a request with control's answer; DeniedError when there is none to be had.

    Args:
        in_use: waits until requests are routed by a revision, so that an order holds for the next request
            of whoever gets the answer to it.
    """
    check_path(request.raw_path)
    if link is None:
        raise DeniedError(
            503,
            "control_none",
            "this Headgate runs without its control process",
            "install headgate[control] and start it again",
        )
    # An artifact is as large as a model: it passes through in pieces, and control says how much it takes.
    streamed = request.method == "PUT" and request.path.startswith(STREAMED)
    body = request.content if streamed else await request.read() or None
    if request.method not in SAFE_METHODS and await _abandoned(request):
        raise DeniedError(
            408, "abandoned", "whoever sent this order has gone and was told that it failed", "send it again"
        )
    response: web.StreamResponse | None = None
    try:
        async with link.session.request(
            request.method,
            URL(BASE + request.raw_path, encoded=True),
            data=body,
            headers=_headers(request, principal, by_session=by_session),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=CONNECT_SECONDS,
                sock_connect=CONNECT_SECONDS,
                # Nothing is said while an artifact comes in; control bounds how slowly it may.
                sock_read=None if streamed else SILENCE_SECONDS,
            ),
        ) as answer:
            revision = answer.headers.get(REVISION_HEADER, "")
            if in_use is not None and answer.status < 300 and revision.isdecimal():
                await in_use(int(revision))
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        if response is not None and response.prepared:
            # Half an answer is out: cutting the line is the only way left to say that it is not whole.
            if request.transport is not None:
                request.transport.abort()
            return response
        raise DeniedError(
            503,
            "control_away",
            "control does not answer; requests are served by the last table",
            "look at the log of headgate run",
        ) from exc


async def _abandoned(request: web.Request) -> bool:
    """Return whether the sender has closed the connection.

    What was sent while no agent lived waits in the listener's queue, that of senders who gave up as well.
    """
    for _ in range(CLOSE_TURNS):
        await asyncio.sleep(0)
    return request.transport is None or request.transport.is_closing()


def check_path(raw_path: str) -> None:
    """Refuse paths that are control's and the agent's own affair, and those written to look like others."""
    path = raw_path.partition("?")[0]
    decoded = unquote(path)
    segments = decoded.split("/")[1:]
    if (
        not path.startswith("/")
        or re.search(r"%2f|%5c|\\", path, re.IGNORECASE)
        or any(ord(character) < 0x20 or character == "\x7f" for character in decoded)
        or any(segment in (".", "..") for segment in segments)
        or "" in segments[:-1]
    ):
        raise DeniedError(400, "path_invalid", "this path is not written plainly", "see docs/api.md")
    if any(decoded == private or decoded.startswith(f"{private}/") for private in PRIVATE):
        raise DeniedError(404, "not_found", "there is nothing at this path", "see docs/api.md for the paths")


def _headers(request: web.Request, principal: Principal, *, by_session: bool) -> dict[str, str]:
    passed = {name: request.headers[name] for name in REQUEST_HEADERS if name in request.headers}
    # Else aiohttp would ask for compressed answers on behalf of a client that cannot read them.
    passed.setdefault("Accept-Encoding", "identity")
    if by_session:
        passed[SESSION_HEADER] = "1"
    return {
        **passed,
        ACTOR_HEADER: principal.actor,
        ROLE_HEADER: principal.role.name.lower(),
        ADDRESS_HEADER: request.remote or "",
    }
