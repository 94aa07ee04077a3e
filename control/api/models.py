"""Releases over HTTP: register, find, compare, move; answered once it is on disk and published."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from control.api.description import Field, body_of, operation, query_of
from control.api.door import DOOR, Door
from control.api.errors import ApiError
from control.api.requests import json_response, origin_of, role_of
from control.registry.live import compared
from control.registry.release import Artifact, Draft
from control.store.releases import ReleaseFilter
from proxy.auth import Role

_METRIC: Final = re.compile(r"(.+?)(>=|<=|==|>|<)(-?\d+(?:\.\d+)?(?:e-?\d+)?)")
REASON: Final = Field(about="why; kept in history and audit log", default="", highest=1000)
GLASS: Final = Field(kind="boolean", about="go without approval; takes a reason", default=False)
_ONE: Final = "/v1/models/{name}/versions/{version}"
_ARTIFACT: Final = {"digest", "size", "name", "kind"}


def routes() -> list[web.RouteDef]:
    """The paths of releases."""
    return [
        web.get("/v1/registry", get_rules),
        web.get("/v1/models", list_models),
        web.post("/v1/models", register),
        web.get("/v1/models/{name}", get_model),
        web.get("/v1/models/{name}/latest", get_latest),
        web.get("/v1/models/{name}/compare", get_comparison),
        web.post("/v1/models/{name}/rollback", rollback),
        web.get(_ONE, get_release),
        web.get(f"{_ONE}/lineage", get_lineage),
        web.post(f"{_ONE}/promote", promote),
        web.post(f"{_ONE}/archive", archive),
        web.post(f"{_ONE}/verify", verify),
    ]


@operation()
async def get_rules(request: web.Request) -> web.Response:
    """The rules in force: stages, who must agree, where artifacts are kept."""
    query_of(request)
    door = request.app[DOOR]
    shelf = door.shelf
    async with shelf.store.read() as connection:
        rules = (await shelf.desk.rules(connection)).policy
    artifacts = await shelf.artifacts()
    return json_response(
        {
            "artifacts": artifacts.place,
            "versions": rules.rules.versions,
            "rules": rules.rules.model_dump(mode="json"),
            "schemes": {name: rules.scheme(name) for name in rules.rules.models},
            "stages": {name: stage.model_dump(mode="json") for name, stage in rules.stages.items()},
            "models": await shelf.registry.names(),
            "troubles": dict(door.troubles()),
        }
    )


@operation(
    query={
        "name": Field(about="only this model"),
        "contains": Field(about="only models whose name contains this"),
        "stage": Field(about="only releases in this stage"),
        "tag": Field(about="only releases with this tag: team, or team=risk"),
        "metric": Field(about="only releases whose metric is so: auc>=0.9"),
        "alias": Field(about="only releases this alias stands for"),
        "approved": Field(about="only releases with a granted request for this stage"),
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
        "offset": Field(kind="integer", about="how many to pass over", default=0, lowest=0, highest=10**9),
    }
)
async def list_models(request: web.Request) -> web.Response:
    """Releases by name, the newest version first."""
    given = query_of(request)
    wanted = ReleaseFilter(
        **{key: _storable(given[key]) for key in ("name", "contains", "stage", "alias", "approved")},
        tag=_tag(given["tag"]),
        metric=_metric(given["metric"]),
    )
    registry = request.app[DOOR].shelf.registry
    limit, offset = given["limit"], given["offset"]
    found = await registry.page(wanted, limit=limit, offset=offset)
    return json_response(
        {
            "models": [each.to_json() for each in found],
            "total": await registry.count(wanted),
            "next": offset + limit if len(found) == limit else None,
        }
    )


@operation(
    status=201,
    errors=(404, 409, 422),
    body={
        "name": Field(about="name of the model", required=True),
        "version": Field(about="its version", required=True),
        "artifact": Field(kind="object", about="digest and size; name and kind if wanted", required=True),
        "framework": Field(about="what it was made with", default=""),
        "description": Field(about="for people", default=""),
        "uri": Field(about="where the artifact came from", default=""),
        "metrics": Field(kind="numbers", about="figures by name", default={}),
        "tags": Field(kind="strings", about="words by name", default={}),
        "config": Field(kind="object", about="what it was made or is served with", default={}),
        "endpoints": Field(kind="texts", about="URLs it answers at", default=[]),
        "parents": Field(kind="texts", about="releases it was made from", default=[]),
        "dataset": Field(about="what it learned from", default=""),
        "commit": Field(about="the code that made it", default=""),
    },
)
async def register(request: web.Request) -> web.Response:
    """Register a release whose artifact is stored already."""
    given = await body_of(request)
    artifact = given.pop("artifact")
    if not set(artifact) <= _ARTIFACT or not isinstance(artifact.get("size"), int):
        raise ApiError(
            400, "invalid_field", "artifact: is not digest, size, name and kind", "give digest and size"
        )
    for name in ("name", "kind"):
        artifact.setdefault(name, {"name": "", "kind": "file"}[name])
    draft = Draft(**given, artifact=Artifact(**{"digest": "", **artifact}))
    door = request.app[DOOR]
    release = await door.shelf.register(draft, origin_of(request))
    await door.follow()
    return json_response(await _details(door, release.label), status=201)


@operation(errors=(404,))
async def get_model(request: web.Request) -> web.Response:
    """One model: its versions, newest first, and its aliases."""
    query_of(request)
    name = request.match_info["name"]
    shelf = request.app[DOOR].shelf
    await shelf.registry.latest(name)
    found = await shelf.registry.page(ReleaseFilter(name=name), limit=1000)
    named = await shelf.aliases.all(name)
    return json_response(
        {
            "name": name,
            "versions": [
                {"version": each.release.version, "stage": each.release.stage, "aliases": list(each.aliases)}
                for each in found
            ],
            "aliases": [each.to_json() for each in named],
        }
    )


@operation(
    query={
        "stage": Field(about="only in this stage"),
        "approved": Field(kind="boolean", about="only with a granted request", default=False),
        "prereleases": Field(kind="boolean", about="pre-releases, too", default=False),
    },
    errors=(404,),
)
async def get_latest(request: web.Request) -> web.Response:
    """The release with the highest version."""
    given = query_of(request)
    given["stage"] = _storable(given["stage"])
    found = await request.app[DOOR].shelf.registry.latest(request.match_info["name"], **given)
    return json_response(found.to_json())


@operation(
    query={
        "from": Field(about="the old version", required=True),
        "to": Field(about="the new version", required=True),
    },
    errors=(404,),
)
async def get_comparison(request: web.Request) -> web.Response:
    """Two releases side by side: metrics with their direction, and what was seen of them live."""
    given = query_of(request)
    name = request.match_info["name"]
    sides = [_joined(name, given[side]) for side in ("from", "to")]
    return json_response(await compared(request.app[DOOR].shelf.desk, *sides))


@operation(errors=(404,))
async def get_release(request: web.Request) -> web.Response:
    """One release, by its version or by `@alias`."""
    query_of(request)
    return json_response(await _details(request.app[DOOR], reference_of(request)))


@operation(errors=(404,))
async def get_lineage(request: web.Request) -> web.Response:
    """What a release was made from, and what was made from it."""
    query_of(request)
    registry = request.app[DOOR].shelf.registry
    return json_response(await registry.lineage(reference_of(request)))


@operation(
    body={"stage": Field(about="where to", required=True), "reason": REASON, "break_glass": GLASS},
    errors=(404, 409),
)
async def promote(request: web.Request) -> web.Response:
    """Move a release to another stage."""
    given = await body_of(request)
    door = request.app[DOOR]
    await check_glass(request, door, given["break_glass"])
    release = await door.shelf.registry.promote(
        reference_of(request),
        given["stage"],
        origin_of(request),
        reason=given["reason"],
        break_glass=given["break_glass"],
    )
    return await _moved(door, release.label)


@operation(body={"reason": REASON}, errors=(404, 409))
async def archive(request: web.Request) -> web.Response:
    """Put a release away."""
    given = await body_of(request)
    door = request.app[DOOR]
    release = await door.shelf.registry.archive(
        reference_of(request), origin_of(request), reason=given["reason"]
    )
    return await _moved(door, release.label)


@operation(
    body={"stage": Field(about="which stage", default="production"), "reason": REASON}, errors=(404, 409)
)
async def rollback(request: web.Request) -> web.Response:
    """Give a stage back to the release it held before; nobody has to agree."""
    given = await body_of(request)
    door = request.app[DOOR]
    release = await door.shelf.registry.rollback(
        request.match_info["name"], origin_of(request), stage=given["stage"], reason=given["reason"]
    )
    return await _moved(door, release.label)


@operation(body={}, errors=(404, 422))
async def verify(request: web.Request) -> web.Response:
    """Read the artifact of a release through and compare it with its digest."""
    await body_of(request)
    release = await request.app[DOOR].shelf.verify(reference_of(request))
    return json_response(
        {"release": release.label, "digest": release.artifact_digest, "bytes": release.artifact_size}
    )


async def check_glass(request: web.Request, door: Door, wanted: bool) -> None:
    """Refuse to break the glass for whoever has too low a role."""
    if not wanted:
        return
    shelf = door.shelf
    async with shelf.store.read() as connection:
        lowest = (await shelf.desk.rules(connection)).policy.rules.break_glass
    require_role(request, Role[lowest.upper()])


def require_role(request: web.Request, role: Role) -> None:
    """Refuse whoever has a lower role."""
    held = role_of(request)
    if held < role:
        raise ApiError(
            403,
            "role_too_low",
            f"{origin_of(request).actor} is {held.name.lower()}; this needs {role.name.lower()}",
            "use a token with that role",
        )


def reference_of(request: web.Request) -> str:
    """The release that a path names, as NAME:VERSION or NAME@ALIAS."""
    return _joined(request.match_info["name"], request.match_info["version"])


def _joined(name: str, version: str) -> str:
    return f"{name}{version}" if version.startswith("@") else f"{name}:{version}"


async def _moved(door: Door, label: str) -> web.Response:
    await door.follow()
    return json_response(await _details(door, label) | {"revision": door.revision()})


async def _details(door: Door, reference: str) -> dict[str, Any]:
    return (await door.shelf.registry.get(reference)).to_json()


def _storable(text: str | None) -> str | None:
    """A text to look for; PostgreSQL takes no zero in one."""
    if text is not None and (
        len(text) > 1000 or any(c == "\x00" or 0xD800 <= ord(c) <= 0xDFFF for c in text)
    ):
        raise ApiError(400, "invalid_parameter", "a filter has characters that no name has", "correct it")
    return text


def _tag(text: str | None) -> tuple[str, str | None] | None:
    if text is None:
        return None
    key, given, value = (_storable(text) or "").partition("=")
    return key, value if given else None


def _metric(text: str | None) -> tuple[str, str, float] | None:
    if text is None:
        return None
    found = _METRIC.fullmatch(_storable(text) or "")
    if found is None:
        raise ApiError(400, "invalid_parameter", f"metric: {text!r} is no comparison", "write auc>=0.9")
    return found[1], found[2], float(found[3])
