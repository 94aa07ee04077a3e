"""The audit log's rows: appended in the writer's own transaction together with the tree, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.audit.canonical import canonical, leaf_hash
from control.audit.events import AuditEvent, Draft, Origin
from control.audit.merkle import EMPTY_ROOT, Frontier
from control.audit.personal import Personal
from control.audit.record import AuditRecord
from control.ids import new_id
from control.store.audit_tables import audit_events, audit_head, audit_personal, audit_tags
from control.store.audit_tiles import fill

_INDEXED = ("id", "type", "severity", "resource_type", "resource_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far the log goes: `size` events with the tree's `root`; the first `trimmed` are no longer kept."""

    size: int
    root: bytes
    trimmed: int
    frontier: bytes


async def append(
    connection: AsyncConnection,
    events: Sequence[AuditEvent | Draft],
    *,
    origin: Origin,
    at: float,
    config_digest: str,
) -> list[AuditRecord]:
    """Write *events* in order, in the caller's transaction; *at* in Unix seconds.

    Sequence numbers are gapless: the head's row is locked from here to the end of the transaction. The cost
    does not depend on how many events there are.
    """
    if not events:
        return []
    before = await head(connection, lock=True)
    frontier = Frontier(before.size, before.frontier)
    records, rows, personal_rows, tag_rows = [], [], [], []
    for event in events:
        draft = event.draft() if isinstance(event, AuditEvent) else event
        personal = Personal.of(origin, draft.personal)
        body = _body(draft, personal, sequence=frontier.size + 1, at=at, config_digest=config_digest)
        encoded = canonical(body)
        record = AuditRecord(
            sequence=body["sequence"],
            id=body["id"],
            body=encoded,
            leaf_hash=leaf_hash(encoded),
            personal=personal,
        )
        frontier.append(record.leaf_hash)
        records.append(record)
        rows.append(
            {name: body[name] for name in _INDEXED}
            | {"sequence": record.sequence, "at": at, "body": encoded, "leaf_hash": record.leaf_hash}
        )
        personal_rows.append(
            {
                "sequence": record.sequence,
                "at": at,
                "actor": personal.actor,
                "actor_salt": personal.actor_salt,
                "origin": personal.origin,
                "origin_salt": personal.origin_salt,
            }
        )
        tag_rows += [{"tag": tag, "sequence": record.sequence} for tag in body["tags"]]
    await connection.execute(insert(audit_events), rows)
    await connection.execute(insert(audit_personal), personal_rows)
    if tag_rows:
        await connection.execute(insert(audit_tags), tag_rows)
    await fill(connection, before.size, frontier.size)
    await connection.execute(
        update(audit_head)
        .where(audit_head.c.id == 1)
        .values(size=frontier.size, root=frontier.root(), frontier=frontier.stored)
    )
    return records


async def head(connection: AsyncConnection, *, lock: bool = False) -> Head:
    """The head of the log; with *lock* no other transaction appends before this one has ended."""
    query = select(audit_head).where(audit_head.c.id == 1)
    row = (await connection.execute(query.with_for_update() if lock else query)).mappings().one()
    return Head(
        size=row["size"],
        root=EMPTY_ROOT if row["root"] is None else bytes(row["root"]),
        trimmed=row["trimmed"],
        # SQLite gives the default back as the text it was declared as.
        frontier=bytes(row["frontier"]) if row["frontier"] else b"",
    )


async def size(connection: AsyncConnection) -> int:
    """How many events the log holds, as its head says."""
    return int((await connection.execute(select(audit_head.c.size))).scalar_one())


async def count(connection: AsyncConnection) -> int:
    """How many rows the log really has."""
    return int((await connection.execute(select(func.count()).select_from(audit_events))).scalar_one())


def utc(at: float) -> str:
    """RFC 3339 with microseconds, in UTC, of Unix seconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _body(
    draft: Draft, personal: Personal, *, sequence: int, at: float, config_digest: str
) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "id": new_id("e"),
        "type": draft.type,
        "at": utc(at),
        "severity": draft.severity,
        "resource_type": draft.resource_type,
        "resource_id": draft.resource_id,
        "action": draft.action,
        "source": draft.source,
        "config_digest": config_digest,
        "details": draft.details,
        "tags": sorted(set(draft.tags)),
        "commitments": personal.commitments(),
    }
