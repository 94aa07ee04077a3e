"""The audit log's rows: appended in the writer's own transaction, read in pages, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from control.audit.canonical import canonical, leaf_hash
from control.audit.events import AuditEvent, Origin
from control.ids import new_id
from control.store.schema import audit_events, audit_head

_COLUMNS: Final = (
    audit_events.c.sequence,
    audit_events.c.id,
    audit_events.c.body,
    audit_events.c.leaf_hash,
)
_INDEXED: Final = ("id", "type", "actor", "severity", "resource_type", "resource_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One event as it was written. `body` is the canonical JSON; `leaf_hash` is over exactly these bytes."""

    sequence: int
    id: str
    body: bytes
    leaf_hash: bytes

    def to_json(self) -> dict[str, Any]:
        event: dict[str, Any] = orjson.loads(self.body)
        return event | {"leaf_hash": self.leaf_hash.hex()}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events to read; None means any."""

    type: str | None = None
    actor: str | None = None
    severity: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    since: float | None = None
    until: float | None = None


async def append(
    connection: AsyncConnection,
    events: Sequence[AuditEvent],
    *,
    origin: Origin,
    at: float,
    config_digest: str,
) -> list[AuditRecord]:
    """Write *events* in order, in the caller's transaction; *at* in Unix seconds.

    Sequence numbers are gapless: the head's row is locked from here to the end of the transaction.
    """
    if not events:
        return []
    grow = update(audit_head).where(audit_head.c.id == 1).values(size=audit_head.c.size + len(events))
    size = (await connection.execute(grow.returning(audit_head.c.size))).scalar_one()
    first = size - len(events) + 1
    records = []
    for sequence, event in enumerate(events, first):
        body = _body(event, sequence=sequence, origin=origin, at=at, config_digest=config_digest)
        encoded = canonical(body)
        record = AuditRecord(sequence=sequence, id=body["id"], body=encoded, leaf_hash=leaf_hash(encoded))
        records.append(record)
        columns = {
            name: body[name] for name in ("id", "type", "actor", "severity", "resource_type", "resource_id")
        }
        await connection.execute(
            insert(audit_events).values(
                sequence=sequence, at=at, body=record.body, leaf_hash=record.leaf_hash, **columns
            )
        )
    return records


async def page(
    connection: AsyncConnection, wanted: AuditFilter, *, limit: int, after: int | None, newest_first: bool
) -> list[AuditRecord]:
    """At most *limit* events beyond the sequence number *after*, in the direction asked for."""
    query = select(*_COLUMNS).limit(limit)
    for name in ("type", "actor", "severity", "resource_type", "resource_id"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(audit_events.c[name] == value)
    if wanted.since is not None:
        query = query.where(audit_events.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit_events.c.at < wanted.until)
    sequence = audit_events.c.sequence
    if after is not None:
        query = query.where(sequence < after if newest_first else sequence > after)
    query = query.order_by(sequence.desc() if newest_first else sequence)
    return [_record(row) for row in (await connection.execute(query)).mappings()]


async def find(connection: AsyncConnection, event_id: str) -> AuditRecord | None:
    """The event with this id."""
    query = select(*_COLUMNS).where(audit_events.c.id == event_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _record(row)


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
    event: AuditEvent, *, sequence: int, origin: Origin, at: float, config_digest: str
) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "id": new_id("e"),
        "type": event.name,
        "at": utc(at),
        "severity": event.severity.word,
        "actor": origin.actor,
        "address": origin.address,
        "user_agent": origin.user_agent,
        "session": origin.session,
        "resource_type": event.resource_type,
        "resource_id": event.resource_id,
        "action": event.action,
        "config_digest": config_digest,
        "details": event.details(),
        "tags": [],
    }


def _record(row: RowMapping) -> AuditRecord:
    return AuditRecord(
        sequence=row["sequence"], id=row["id"], body=bytes(row["body"]), leaf_hash=bytes(row["leaf_hash"])
    )
