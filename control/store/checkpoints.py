"""Signed checkpoints of the audit log: written once, read in order."""

from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.audit_tables import audit_checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoint:
    """A checkpoint's note; `at` in Unix seconds."""

    size: int
    at: float
    note: str


async def add_checkpoint(connection: AsyncConnection, row: StoredCheckpoint) -> bool:
    """Write a checkpoint unless there is one of this size; says whether it was written."""
    query = select(audit_checkpoints.c.size).where(audit_checkpoints.c.size == row.size)
    if (await connection.execute(query)).first() is not None:
        return False
    await connection.execute(insert(audit_checkpoints).values(size=row.size, at=row.at, note=row.note))
    return True


async def newest(connection: AsyncConnection, *, at_most: int | None = None) -> StoredCheckpoint | None:
    """The checkpoint of the largest size, or of the largest that is not above *at_most*."""
    query = select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)
    if at_most is not None:
        query = query.where(audit_checkpoints.c.size <= at_most)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else StoredCheckpoint(size=row["size"], at=row["at"], note=row["note"])


async def listed(connection: AsyncConnection, *, limit: int, before: int | None) -> list[StoredCheckpoint]:
    """At most *limit* checkpoints below the size *before*, the newest first."""
    query = select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(limit)
    if before is not None:
        query = query.where(audit_checkpoints.c.size < before)
    rows = (await connection.execute(query)).mappings()
    return [StoredCheckpoint(size=row["size"], at=row["at"], note=row["note"]) for row in rows]
