"""Approvals over HTTP: ask, vote, comment, and look at what went without one."""

from __future__ import annotations

from aiohttp import web

from control.api.description import Field, body_of, operation, query_of
from control.api.door import DOOR
from control.api.models import require_role
from control.api.requests import json_response, origin_of
from control.registry.approval import ApprovalState
from proxy.auth import Role

_ONE = "/v1/approvals/{id}"
_PLAN = Field(
    kind="object",
    about="by route, kind, weight and rollout of a configuration to come; left out = the plan in force",
)
_STATES = tuple(state.word for state in ApprovalState)


def routes() -> list[web.RouteDef]:
    """The paths of approvals."""
    return [
        web.get("/v1/approvals", list_approvals),
        web.post("/v1/approvals", request_approval),
        web.get(_ONE, get_approval),
        web.post(f"{_ONE}/approve", approve),
        web.post(f"{_ONE}/reject", reject),
        web.post(f"{_ONE}/renew", renew),
        web.post(f"{_ONE}/comments", comment),
        web.get("/v1/approval-tasks", list_tasks),
        web.post("/v1/approval-tasks/{id}/review", review_task),
    ]


@operation(
    query={
        "status": Field(about="only requests that stand so", choices=_STATES),
        "model": Field(about="only about this model", highest=64),
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
        "before": Field(about="only older ones than this request", highest=64),
    }
)
async def list_approvals(request: web.Request) -> web.Response:
    """Requests, newest first; `next` continues the list."""
    given = query_of(request)
    state = None if given["status"] is None else ApprovalState[given["status"].upper()]
    found = await request.app[DOOR].shelf.approvals.page(
        limit=given["limit"], before=_plain(given["before"]), state=state, name=_plain(given["model"])
    )
    return json_response(
        {"approvals": found, "next": found[-1]["id"] if len(found) == given["limit"] else None}
    )


@operation(
    status=201,
    errors=(404, 409),
    body={
        "release": Field(about="NAME:VERSION or NAME@ALIAS", required=True),
        "stage": Field(about="where it shall be let in", default="production"),
        "justification": Field(about="why", required=True),
        "reviewers": Field(kind="texts", about="who is asked; left out = whom the stage names", default=[]),
        "quorum": Field(kind="integer", about="how many must approve; never fewer than the stage demands"),
        "plan": _PLAN,
    },
)
async def request_approval(request: web.Request) -> web.Response:
    """Ask for a release to be let into a stage."""
    given = await body_of(request)
    approvals = request.app[DOOR].shelf.approvals
    made = await approvals.request(
        given["release"],
        given["stage"],
        origin_of(request),
        justification=given["justification"],
        reviewers=given["reviewers"],
        quorum=given["quorum"],
        plan=given["plan"],
    )
    return json_response(await approvals.get(made.id), status=201)


@operation(errors=(404,))
async def get_approval(request: web.Request) -> web.Response:
    """One request with its votes and comments."""
    query_of(request)
    return json_response(await request.app[DOOR].shelf.approvals.get(_id(request)))


@operation(body={"reason": Field(about="what speaks for it", default="")}, errors=(404, 409))
async def approve(request: web.Request) -> web.Response:
    """Agree."""
    return await _vote(request, approves=True)


@operation(body={"reason": Field(about="what speaks against it", required=True)}, errors=(404, 409))
async def reject(request: web.Request) -> web.Response:
    """Object, which closes the request."""
    return await _vote(request, approves=False)


@operation(
    body={"justification": Field(about="why, if it is another reason", default=""), "plan": _PLAN},
    errors=(404, 409),
)
async def renew(request: web.Request) -> web.Response:
    """Ask again for what has changed since: earlier votes count no more."""
    given = await body_of(request)
    approvals = request.app[DOOR].shelf.approvals
    made = await approvals.renew(_id(request), origin_of(request), **given)
    return json_response(await approvals.get(made.id))


@operation(
    status=201,
    errors=(404,),
    body={
        "text": Field(about="what you say", required=True),
        "reply_to": Field(about="the comment it answers"),
    },
)
async def comment(request: web.Request) -> web.Response:
    """Say something about a request, or answer what was said."""
    given = await body_of(request)
    made = await request.app[DOOR].shelf.approvals.comment(
        _id(request), origin_of(request), given["text"], reply_to=given["reply_to"]
    )
    return json_response(made.to_json(), status=201)


@operation(query={"all": Field(kind="boolean", about="those that are done, too", default=False)})
async def list_tasks(request: web.Request) -> web.Response:
    """What went without approval, and nobody has looked at yet."""
    given = query_of(request)
    tasks = request.app[DOOR].shelf.tasks
    return json_response({"tasks": await tasks.all(open_only=not given["all"])})


@operation(
    errors=(404, 409),
    body={
        "accept": Field(kind="boolean", about="whether it was right", required=True),
        "reason": Field(about="why", required=True),
    },
)
async def review_task(request: web.Request) -> web.Response:
    """Say whether going without approval was right; an objection takes the permission back."""
    require_role(request, Role.APPROVER)
    given = await body_of(request)
    tasks = request.app[DOOR].shelf.tasks
    return json_response(await tasks.review(_id(request), origin_of(request), **given))


async def _vote(request: web.Request, *, approves: bool) -> web.Response:
    require_role(request, Role.APPROVER)
    given = await body_of(request)
    approvals = request.app[DOOR].shelf.approvals
    made = await approvals.vote(_id(request), origin_of(request), approves=approves, reason=given["reason"])
    return json_response(await approvals.get(made.id))


def _id(request: web.Request) -> str:
    return _plain(request.match_info["id"]) or ""


def _plain(text: str | None) -> str | None:
    """An identifier as it can be looked for: whatever no identifier has becomes what none is."""
    return text if text is None or (text.isascii() and text.isprintable()) else "?"
