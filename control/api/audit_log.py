"""The audit log's own resource: proofs, checkpoints, exports, and events that others report."""

import time
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from control.api.audit_filter import FILTER_FIELDS, filter_of
from control.api.description import Field, operation
from control.api.errors import ApiError
from control.api.keys import PLANE
from control.api.requests import integer, json_object, json_response, only, origin_of, page_size
from control.audit.draft import DraftError, read_draft
from control.audit.export import Exported, export
from control.audit.forms import Form
from control.audit.kinds.log import AuditExported
from control.audit.note import parse
from control.audit.retention import erase, trim
from control.audit.witness import Witness
from control.store import audit, audit_search, audit_tiles, checkpoints

_SEQUENCE_MAX: Final = 2**63 - 1
_FORMS: Final = Form.kinds
_TEXT_MAX: Final = 1000


def routes() -> list[web.RouteDef]:
    """The paths below /v1/audit that have a name of their own."""
    return [
        web.post("/v1/audit", log_event),
        web.get("/v1/audit/checkpoint", get_checkpoint),
        web.post("/v1/audit/checkpoint", sign_checkpoint),
        web.get("/v1/audit/checkpoints", list_checkpoints),
        web.get("/v1/audit/consistency", get_consistency),
        web.get("/v1/audit/export", get_export),
        web.post("/v1/audit/key", change_key),
        web.post("/v1/audit/erase", erase_personal),
        web.post("/v1/audit/trim", trim_events),
        web.get("/v1/audit/{id}/proof", get_proof),
    ]


@operation(
    body={
        "type": Field(about="small letters, digits and underscores", required=True),
        "resource_id": Field(about="what it is about", required=True),
        "severity": Field(about="how grave it is", choices=("info", "warning", "error", "critical")),
        "tags": Field(kind="texts", about="words to find it by"),
    },
    status=201,
)
async def log_event(request: web.Request) -> web.Response:
    """Write an event that happened elsewhere; only Headgate itself writes what it does itself."""
    only(request, set())
    body = await json_object(request)
    try:
        draft = read_draft(body, source="api")
    except DraftError as error:
        raise ApiError(400, "invalid_event", error.message, error.remedy) from error
    ledger = request.app[PLANE].ledger
    digest = "" if ledger.active is None else ledger.active.digest
    async with ledger.store.write() as connection:
        (record,) = await audit.append(
            connection, [draft], origin=origin_of(request), at=time.time(), config_digest=digest
        )
    return json_response(record.to_json(), status=201)


async def get_checkpoint(request: web.Request) -> web.Response:
    """The newest checkpoint: as a signed note for those who ask for text, else as JSON."""
    only(request, set())
    async with request.app[PLANE].ledger.store.read() as connection:
        row = await checkpoints.newest(connection)
    if row is None:
        raise ApiError(404, "no_checkpoint", "nothing was signed yet", "POST /v1/audit/checkpoint signs now")
    if "text/plain" in request.headers.get("Accept", ""):
        return web.Response(text=row.note, headers={"Cache-Control": "no-store"})
    return json_response(_checkpoint_view(row.note, request))


async def sign_checkpoint(request: web.Request) -> web.Response:
    """Sign the log as it is now."""
    only(request, set())
    note = await _witness(request).sign(time.time())
    return json_response(_checkpoint_view(note.text, request))


@operation(
    query={
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
        "before": Field(kind="integer", about="only smaller ones than this size", lowest=0),
    },
)
async def list_checkpoints(request: web.Request) -> web.Response:
    """Checkpoints, the newest first; ``next`` continues the list."""
    only(request, {"limit", "before"})
    limit = page_size(request)
    before = None
    if "before" in request.query:
        before = integer(request, "before", default=0, lowest=0, highest=_SEQUENCE_MAX)
    async with request.app[PLANE].ledger.store.read() as connection:
        rows = await checkpoints.listed(connection, limit=limit, before=before)
    return json_response(
        {
            "checkpoints": [_checkpoint_view(row.note, request) for row in rows],
            "next": rows[-1].size if len(rows) == limit else None,
        }
    )


@operation(
    query={"size": Field(kind="integer", about="of how many events the log is", lowest=1)},
    errors=(404,),
)
async def get_proof(request: web.Request) -> web.Response:
    """The proof that an event is in the log of ``size`` events: by default, of the newest checkpoint."""
    only(request, {"size"})
    wanted = request.match_info["id"]
    async with request.app[PLANE].ledger.store.read() as connection:
        record = await audit_search.find(connection, wanted)
        if record is None:
            raise ApiError(404, "unknown_event", f"there is no event {wanted!r}", "list them at /v1/audit")
        head = await audit.head(connection)
        newest = await checkpoints.newest(connection)
        signed = 0 if newest is None else newest.size
        default = signed if signed >= record.sequence else head.size
        size = integer(request, "size", default=default, lowest=record.sequence, highest=head.size)
        proof = await audit_tiles.inclusion(connection, record.sequence, size)
        root = await audit_tiles.root_at(connection, size)
    note = newest.note if newest is not None and newest.size == size else None
    return json_response(
        {
            "event": record.to_json(),
            "body": record.body.decode(),
            "leaf_index": record.sequence - 1,
            "leaf_hash": record.leaf_hash.hex(),
            "size": size,
            "root": root.hex(),
            "path": [step.hex() for step in proof],
            "checkpoint": note,
        }
    )


@operation(
    query={
        "first": Field(kind="integer", about="size of the older log", required=True, lowest=1),
        "second": Field(kind="integer", about="size of the newer log; left out = now", lowest=1),
    },
    errors=(409,),
)
async def get_consistency(request: web.Request) -> web.Response:
    """The proof that the log of ``second`` events (default: now) begins with that of ``first``."""
    only(request, {"first", "second"})
    if "first" not in request.query:
        raise ApiError(400, "missing_parameter", "first: is missing", "write first=SIZE")
    async with request.app[PLANE].ledger.store.read() as connection:
        head = await audit.head(connection)
        second = integer(request, "second", default=head.size, lowest=1, highest=max(1, head.size))
        first = integer(request, "first", default=1, lowest=1, highest=second)
        if second > head.size:
            raise ApiError(409, "log_empty", "the log has no events yet", "wait for the first one")
        path = await audit_tiles.consistency(connection, first, second)
        roots = [await audit_tiles.root_at(connection, size) for size in (first, second)]
    return json_response(
        {
            "first": {"size": first, "root": roots[0].hex()},
            "second": {"size": second, "root": roots[1].hex()},
            "path": [step.hex() for step in path],
        }
    )


@operation(
    query={**FILTER_FIELDS, "format": Field(about="how it is written")},
)
async def get_export(request: web.Request) -> web.StreamResponse:
    """All events that fit, as a stream; the log tells that it was done."""
    wanted, extra = filter_of(request, {"format"})
    kind = extra.get("format", "jsonl")
    if kind not in _FORMS:
        raise ApiError(
            400, "invalid_parameter", f"format: {kind!r} is none", f"use {', '.join(sorted(_FORMS))}"
        )
    store, witness = request.app[PLANE].ledger.store, request.app[PLANE].witness
    if witness is not None:
        await witness.sign(time.time())
    form, sent = _FORMS[kind](), Exported()
    response = web.StreamResponse(
        headers={
            "Content-Type": form.content_type,
            "Content-Disposition": f'attachment; filename="audit.{kind}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(request)
    try:
        async for piece in export(store, wanted, form, sent):
            await response.write(piece)
    finally:
        # Also what was broken off has left the house.
        event = AuditExported(
            resource_id=kind, events=sent.count, first=sent.first, last=sent.last, filters=wanted.to_json()
        )
        async with store.write() as connection:
            await audit.append(
                connection, [event], origin=origin_of(request), at=time.time(), config_digest=""
            )
    await response.write_eof()
    return response


@operation(
    body={"reason": Field(about="why; kept in history and audit log", default="", highest=1000)},
    errors=(409,),
)
async def change_key(request: web.Request) -> web.Response:
    """Sign with a new key from here on."""
    only(request, set())
    require_admin(request)
    body = await json_object(request, required=False)
    key = await _witness(request).change_key(str(body.get("reason", ""))[:1000], origin_of(request))
    return json_response({"key": str(key), "id": key.id})


@operation(
    body={
        "actor": Field(about="whose fields", required=True),
        "names": Field(kind="boolean", about="the name, too"),
        "reason": Field(about="why", required=True),
    },
    errors=(404, 409, 422),
)
async def erase_personal(request: web.Request) -> web.Response:
    """Erase personal fields of what somebody did."""
    only(request, set())
    require_admin(request)
    body = await _fields(request, {"actor": str, "names": bool, "reason": str}, {"actor", "reason"})
    events = await erase(
        request.app[PLANE].ledger.store,
        actor=body["actor"],
        names=body.get("names", False),
        reason=body["reason"],
        origin=origin_of(request),
    )
    return json_response({"events": events})


@operation(
    body={
        "before": Field(about="a day, YYYY-MM-DD, in UTC", required=True),
        "archive": Field(about="where they are kept from now on", required=True),
        "reason": Field(about="why"),
    },
    errors=(404, 409, 422),
)
async def trim_events(request: web.Request) -> web.Response:
    """Remove old events; `before` is a day, ``YYYY-MM-DD``, in UTC."""
    only(request, set())
    require_admin(request)
    body = await _fields(request, {"before": str, "archive": str, "reason": str}, {"before", "archive"})
    try:
        before = datetime.strptime(body["before"], "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise ApiError(400, "invalid_field", "before: is not a day", "write YYYY-MM-DD") from error
    done = await trim(
        request.app[PLANE].ledger.store,
        before=before,
        archive=body["archive"],
        reason=body.get("reason", ""),
        origin=origin_of(request),
    )
    return json_response({"events": done.events, "first": done.first})


async def _fields(request: web.Request, kinds: dict[str, type], needed: set[str]) -> dict[str, Any]:
    body = await json_object(request)
    wrong = [name for name in body if name not in kinds or not isinstance(body[name], kinds[name])]
    wrong += [name for name in needed if not body.get(name)]
    if wrong or any(isinstance(value, str) and len(value) > _TEXT_MAX for value in body.values()):
        names = ", ".join(sorted(set(wrong))) or "a text"
        raise ApiError(
            400,
            "invalid_field",
            f"{names}: missing, unknown, of the wrong kind or too long",
            "see docs/api.md",
        )
    return body


def require_admin(request: web.Request) -> None:
    """Refuse whoever came through the agent with less than the role ``admin``."""
    role = request.headers.get("X-Headgate-Role", "admin")
    if role != "admin":
        raise ApiError(403, "role_too_low", f"this needs the role admin, not {role}", "use another token")


def _witness(request: web.Request) -> Witness:
    witness = request.app[PLANE].witness
    if witness is None:
        raise ApiError(503, "no_key", "this control process has no signing key", "start it with --state")
    return witness


def _checkpoint_view(text: str, request: web.Request) -> dict[str, Any]:
    note = parse(text)
    witness = request.app[PLANE].witness
    return {
        "origin": note.checkpoint.origin,
        "size": note.checkpoint.size,
        "root": note.checkpoint.root.hex(),
        "time": note.checkpoint.time,
        "keys": [identity for identity, _ in note.signatures],
        "public_key": None if witness is None else str(witness.key),
        "note": text,
    }
