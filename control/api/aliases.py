"""Aliases over HTTP: what they stand for, and letting them stand for something else."""

from __future__ import annotations

from aiohttp import web

from control.api.description import Field, body_of, operation, query_of
from control.api.door import DOOR
from control.api.models import GLASS, REASON, check_glass
from control.api.requests import json_response, origin_of

_ONE = "/v1/models/{name}/aliases/{alias}"


def routes() -> list[web.RouteDef]:
    """The paths of aliases."""
    return [
        web.get("/v1/models/{name}/aliases", list_aliases),
        web.get(_ONE, get_alias),
        web.put(_ONE, move_alias),
        web.delete(_ONE, remove_alias),
        web.post(f"{_ONE}/revert", revert_alias),
    ]


@operation()
async def list_aliases(request: web.Request) -> web.Response:
    """What the aliases of a model stand for."""
    query_of(request)
    found = await request.app[DOOR].shelf.aliases.all(request.match_info["name"])
    return json_response({"aliases": [each.to_json() for each in found]})


@operation()
async def get_alias(request: web.Request) -> web.Response:
    """Everything an alias has stood for, the first first."""
    query_of(request)
    name, alias = request.match_info["name"], request.match_info["alias"]
    return json_response(
        {
            "model": name,
            "alias": alias,
            "history": await request.app[DOOR].shelf.aliases.history(name, alias),
        }
    )


@operation(
    body={
        "version": Field(about="the release it shall stand for", required=True),
        "reason": REASON,
        "break_glass": GLASS,
    },
    errors=(404, 409),
)
async def move_alias(request: web.Request) -> web.Response:
    """Let an alias stand for another release; routes that use it follow in one table."""
    given = await body_of(request)
    door = request.app[DOOR]
    await check_glass(request, door, given["break_glass"])
    release = await door.shelf.aliases.move(
        request.match_info["name"],
        request.match_info["alias"],
        given["version"],
        origin_of(request),
        reason=given["reason"],
        break_glass=given["break_glass"],
    )
    return await _answer(request, release.label)


@operation(body={"reason": REASON}, errors=(404, 409))
async def revert_alias(request: web.Request) -> web.Response:
    """Let an alias stand again for what it stood for before; nobody has to agree."""
    given = await body_of(request)
    release = await request.app[DOOR].shelf.aliases.revert(
        request.match_info["name"], request.match_info["alias"], origin_of(request), reason=given["reason"]
    )
    return await _answer(request, release.label)


@operation(errors=(404, 409))
async def remove_alias(request: web.Request) -> web.Response:
    """Let an alias stand for nothing."""
    query_of(request)
    await request.app[DOOR].shelf.aliases.remove(
        request.match_info["name"], request.match_info["alias"], origin_of(request)
    )
    return await _answer(request, None)


async def _answer(request: web.Request, label: str | None) -> web.Response:
    door = request.app[DOOR]
    await door.follow()
    return json_response(
        {
            "model": request.match_info["name"],
            "alias": request.match_info["alias"],
            "release": label,
            "revision": door.revision(),
            "troubles": dict(door.troubles()),
        }
    )
