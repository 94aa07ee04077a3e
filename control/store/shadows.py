"""What shadows have counted: one row for each boot and shadow."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.shadow_schema import shadow_statistics

_KEY: Final = ("node", "boot", "route", "shadow", "role", "stage")
_DELETE: Final = delete(shadow_statistics).where(
    *(shadow_statistics.c[name] == bindparam(f"old_{name}") for name in _KEY)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredShadow:
    """Counts of one shadow in one boot, as JSON; an empty node and boot hold the sum of ended boots."""

    node: str
    boot: str
    route: str
    shadow: str
    role: str
    stage: str
    updated_at: float
    body: str


async def save_shadows(connection: AsyncConnection, rows: Iterable[StoredShadow]) -> None:
    """Write the rows, new or changed."""
    values = [asdict(row) for row in rows]
    if values:
        await connection.execute(_DELETE, [{f"old_{name}": row[name] for name in _KEY} for row in values])
        await connection.execute(insert(shadow_statistics), values)


async def end_shadows(connection: AsyncConnection, *, node: str, boot: str) -> None:
    """Forget the rows of a boot that ended; its counts are in the sum."""
    mine = (shadow_statistics.c.node == node, shadow_statistics.c.boot == boot)
    await connection.execute(delete(shadow_statistics).where(*mine))


async def forget_shadow(
    connection: AsyncConnection, *, route: str, shadow: str, role: str, stage: str
) -> None:
    """Drop every row of one shadow under one comparison."""
    wanted = {"route": route, "shadow": shadow, "role": role, "stage": stage}
    columns = (shadow_statistics.c[name] == value for name, value in wanted.items())
    await connection.execute(delete(shadow_statistics).where(*columns))


async def all_shadows(connection: AsyncConnection) -> list[StoredShadow]:
    """Every row."""
    rows = (await connection.execute(select(shadow_statistics))).mappings()
    return [StoredShadow(**row) for row in rows]
