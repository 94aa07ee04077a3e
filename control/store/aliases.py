"""Names that stand for one release at a time, and everything they have stood for."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.registry.release import Alias
from control.store.registry_schema import alias_moves, aliases


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One change of an alias; None where it stood for nothing."""

    id: str
    name: str
    alias: str
    from_id: str | None
    to_id: str | None
    at: float
    actor: str
    reason: str


async def find_alias(connection: AsyncConnection, *, name: str, alias: str) -> Alias | None:
    """What the alias stands for."""
    query = select(aliases).where(aliases.c.name == name, aliases.c.alias == alias)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else Alias(**row)


async def all_aliases(connection: AsyncConnection, *, name: str | None = None) -> list[Alias]:
    """Every alias, or those of one model."""
    query = select(aliases).order_by(aliases.c.name, aliases.c.alias)
    if name is not None:
        query = query.where(aliases.c.name == name)
    return [Alias(**row) for row in (await connection.execute(query)).mappings()]


async def aliases_of(connection: AsyncConnection, release_ids: list[str]) -> dict[str, list[str]]:
    """By id of the release, the aliases that stand for it."""
    found: dict[str, list[str]] = {}
    if release_ids:
        query = select(aliases.c.release_id, aliases.c.alias).where(aliases.c.release_id.in_(release_ids))
        for row in (await connection.execute(query.order_by(aliases.c.alias))).mappings():
            found.setdefault(row["release_id"], []).append(row["alias"])
    return found


async def move_alias(connection: AsyncConnection, step: AliasMove) -> None:
    """Let the alias stand for another release, or for none, and keep the step."""
    await connection.execute(
        insert(alias_moves).values({column.name: getattr(step, column.name) for column in alias_moves.c})
    )
    key = (aliases.c.name == step.name, aliases.c.alias == step.alias)
    if step.to_id is None:
        await connection.execute(delete(aliases).where(*key))
        return
    values = {
        "release_id": step.to_id,
        "previous_id": step.from_id,
        "moved_at": step.at,
        "moved_by": step.actor,
    }
    changed = await connection.execute(update(aliases).where(*key).values(values))
    if changed.rowcount == 0:
        await connection.execute(insert(aliases).values(name=step.name, alias=step.alias, **values))


async def alias_history(connection: AsyncConnection, *, name: str, alias: str) -> list[AliasMove]:
    """Everything the alias has stood for, the first step first."""
    query = (
        select(alias_moves)
        .where(alias_moves.c.name == name, alias_moves.c.alias == alias)
        .order_by(alias_moves.c.id)
    )
    return [AliasMove(**row) for row in (await connection.execute(query)).mappings()]
