"""Counts of events in a period, by what a report asks for."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.audit.record import AuditRecord
from control.store.audit_search import AuditFilter, page
from control.store.audit_tables import audit_events, audit_personal


async def by_type_and_severity(
    connection: AsyncConnection, since: float, until: float
) -> dict[tuple[str, str], int]:
    """How many events of each type and severity."""
    columns = (audit_events.c.type, audit_events.c.severity)
    query = (
        select(*columns, func.count())
        .where(audit_events.c.at >= since, audit_events.c.at < until)
        .group_by(*columns)
    )
    return {(kind, severity): number for kind, severity, number in (await connection.execute(query)).all()}


async def by_actor(connection: AsyncConnection, since: float, until: float) -> dict[str | None, int]:
    """How many events of each actor; None stands for those whose name was erased."""
    query = (
        select(audit_personal.c.actor, func.count())
        .where(audit_personal.c.at >= since, audit_personal.c.at < until)
        .group_by(audit_personal.c.actor)
    )
    return {row[0]: row[1] for row in (await connection.execute(query)).all()}


async def of_types(
    connection: AsyncConnection, kinds: tuple[str, ...], since: float, until: float, *, limit: int
) -> list[AuditRecord]:
    """The events of these types, the oldest first, at most *limit* of each."""
    found: list[AuditRecord] = []
    for kind in kinds:
        wanted = AuditFilter(type=kind, since=since, until=until)
        found += await page(connection, wanted, limit=limit, after=None, newest_first=False)
    return sorted(found, key=lambda record: record.sequence)
