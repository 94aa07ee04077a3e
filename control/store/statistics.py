"""Cumulative counts that must outlive a process: one row for each boot and arm, and the boots that ended."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.schema import ended_boots, statistics

ENDED_BOOTS_MAX: Final = 10_000
_KEY: Final = ("node", "boot", "route", "variant", "role", "stage")
_DELETE: Final = delete(statistics).where(*(statistics.c[name] == bindparam(f"old_{name}") for name in _KEY))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCounts:
    """The counts of one arm in one boot; an empty node and boot hold the sum of boots that ended."""

    node: str
    boot: str
    route: str
    variant: str
    role: str
    stage: str
    updated_at: float
    body: str


_COLUMNS: Final = tuple(each.name for each in fields(StoredCounts))


async def save_counts(connection: AsyncConnection, rows: Iterable[StoredCounts]) -> None:
    """Write the rows, new or changed."""
    values = [{name: getattr(row, name) for name in _COLUMNS} for row in rows]
    if values:
        keys = [{f"old_{name}": row[name] for name in _KEY} for row in values]
        await connection.execute(_DELETE, keys)
        await connection.execute(insert(statistics), values)


async def end_boot(connection: AsyncConnection, *, node: str, boot: str, at: float) -> None:
    """Forget the rows of a boot that ended and remember that it did."""
    mine = (statistics.c.node == node, statistics.c.boot == boot)
    await connection.execute(delete(statistics).where(*mine))
    await connection.execute(
        delete(ended_boots).where(ended_boots.c.node == node, ended_boots.c.boot == boot)
    )
    await connection.execute(insert(ended_boots).values(node=node, boot=boot, ended_at=at))


async def forget_arms(connection: AsyncConnection, arms: Iterable[tuple[str, str, str, str]]) -> None:
    """Drop every row of these (route, variant, role, stage)."""
    for route, variant, role, stage in arms:
        await connection.execute(
            delete(statistics).where(
                statistics.c.route == route,
                statistics.c.variant == variant,
                statistics.c.role == role,
                statistics.c.stage == stage,
            )
        )


async def all_counts(connection: AsyncConnection) -> list[StoredCounts]:
    """Every row."""
    return [StoredCounts(**row) for row in (await connection.execute(select(statistics))).mappings()]


async def all_ended_boots(
    connection: AsyncConnection, *, keep: int = ENDED_BOOTS_MAX
) -> list[tuple[str, str]]:
    """The (node, boot) that ended, oldest first; all but the newest *keep* are dropped."""
    query = select(ended_boots).order_by(ended_boots.c.ended_at)
    rows = (await connection.execute(query)).all()
    if len(rows) > keep:
        oldest = rows[-keep].ended_at
        await connection.execute(delete(ended_boots).where(ended_boots.c.ended_at < oldest))
        rows = rows[-keep:]
    return [(row.node, row.boot) for row in rows]
