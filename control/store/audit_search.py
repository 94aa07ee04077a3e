"""Finds events: by what they are about, in pages, through an index whatever is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from control.audit.personal import Personal
from control.audit.record import AuditRecord
from control.store.audit_tables import audit_events, audit_personal, audit_tags

_COLUMNS: Final = (
    audit_events.c.sequence,
    audit_events.c.id,
    audit_events.c.body,
    audit_events.c.leaf_hash,
    audit_personal.c.actor,
    audit_personal.c.actor_salt,
    audit_personal.c.origin,
    audit_personal.c.origin_salt,
)
_EVENTS_WITH_PERSONAL: Final = audit_events.outerjoin(
    audit_personal, audit_personal.c.sequence == audit_events.c.sequence
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events to read; None means any, several tags mean all of them. Times in Unix seconds."""

    type: str | None = None
    actor: str | None = None
    severity: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    since: float | None = None
    until: float | None = None
    tags: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether no event is left out."""
        return self == AuditFilter()

    def to_json(self) -> dict[str, Any]:
        """What was asked for, without what was not."""
        names = ("type", "actor", "severity", "resource_type", "resource_id", "since", "until")
        found = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return found | ({"tags": list(self.tags)} if self.tags else {})


async def page(
    connection: AsyncConnection, wanted: AuditFilter, *, limit: int, after: int | None, newest_first: bool
) -> list[AuditRecord]:
    """At most *limit* events beyond the sequence number *after*, in the direction asked for."""
    sequence = audit_events.c.sequence
    numbers = _matching(wanted)
    if after is not None:
        numbers = numbers.where(sequence < after if newest_first else sequence > after)
    if wanted.since is not None or wanted.until is not None:
        # All found first, by the index on time: in the order of the log it would be walked from its end.
        inner = numbers.cte("matching").prefix_with("MATERIALIZED")
        numbers = select(inner.c.sequence)
        order = inner.c.sequence
    else:
        order = sequence
    numbers = numbers.order_by(order.desc() if newest_first else order).limit(limit)
    chosen = list((await connection.execute(numbers)).scalars())
    return await fetch(connection, chosen)


async def fetch(connection: AsyncConnection, sequences: list[int]) -> list[AuditRecord]:
    """The events with these numbers, in this order."""
    query = select(*_COLUMNS).select_from(_EVENTS_WITH_PERSONAL).where(audit_events.c.sequence.in_(sequences))
    found = {row["sequence"]: record_of(row) for row in (await connection.execute(query)).mappings()}
    return [found[sequence] for sequence in sequences if sequence in found]


async def find(connection: AsyncConnection, event_id: str) -> AuditRecord | None:
    """The event with this id."""
    query = select(*_COLUMNS).select_from(_EVENTS_WITH_PERSONAL).where(audit_events.c.id == event_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else record_of(row)


async def resources(connection: AsyncConnection, kind: str) -> set[str]:
    """The resources that events of this type are about."""
    query = select(audit_events.c.resource_id).where(audit_events.c.type == kind)
    return set((await connection.execute(query)).scalars())


async def bodies_of_type(connection: AsyncConnection, kind: str) -> list[bytes]:
    """The stored bytes of all events of this type, the oldest first."""
    query = select(audit_events.c.body).where(audit_events.c.type == kind).order_by(audit_events.c.sequence)
    return [bytes(body) for body in (await connection.execute(query)).scalars()]


async def newest_of_types(
    connection: AsyncConnection, kinds: Sequence[str], *, limit: int
) -> list[AuditRecord]:
    """The newest events of these types, at most *limit* of each, in the order they were written."""
    chosen: list[int] = []
    for kind in kinds:
        # One at a time, in the order of their index: rare types in a long log are found at once.
        query = select(audit_events.c.sequence).where(audit_events.c.type == kind)
        newest = query.order_by(audit_events.c.sequence.desc()).limit(limit)
        chosen += (await connection.execute(newest)).scalars()
    return await fetch(connection, sorted(chosen))


def record_of(row: RowMapping) -> AuditRecord:
    """An event from a row with all columns of both tables."""
    salts = (row["actor_salt"], row["origin_salt"])
    actor_salt, origin_salt = (None if salt is None else bytes(salt) for salt in salts)
    return AuditRecord(
        sequence=row["sequence"],
        id=row["id"],
        body=bytes(row["body"]),
        leaf_hash=bytes(row["leaf_hash"]),
        personal=Personal(
            actor=row["actor"], actor_salt=actor_salt, origin=row["origin"], origin_salt=origin_salt
        ),
    )


def _matching(wanted: AuditFilter) -> Select[int]:
    query = select(audit_events.c.sequence)
    where: list[ColumnElement[bool]] = [
        audit_events.c[name] == getattr(wanted, name)
        for name in ("type", "severity", "resource_type", "resource_id")
        if getattr(wanted, name) is not None
    ]
    times = [audit_events.c.at]
    if wanted.actor is not None:
        query = query.join(audit_personal, audit_personal.c.sequence == audit_events.c.sequence)
        where.append(audit_personal.c.actor == wanted.actor)
        times.append(audit_personal.c.at)
    for tag in wanted.tags:
        tagged = audit_tags.alias()
        query = query.join(tagged, tagged.c.sequence == audit_events.c.sequence)
        where.append(tagged.c.tag == tag)
    for at in times:
        where += [at >= wanted.since] if wanted.since is not None else []
        where += [at < wanted.until] if wanted.until is not None else []
    return query.where(*where)
