"""Removes from the log what may be removed: personal values, and whole events that retention lets go."""

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.audit_tables import audit_events, audit_head, audit_personal, audit_tags


async def erase(connection: AsyncConnection, *, actor: str, names: bool) -> list[int]:
    """Erase the origin, and with *names* the name, of all events of *actor*; their numbers.

    Events from before personal fields were kept apart have no salt; they cannot be erased.
    """
    mine = (audit_personal.c.actor == actor) & audit_personal.c.actor_salt.is_not(None)
    found = list((await connection.execute(select(audit_personal.c.sequence).where(mine))).scalars())
    values: dict[str, None] = {"origin": None, "origin_salt": None}
    if names:
        values |= {"actor": None, "actor_salt": None}
    await connection.execute(update(audit_personal).where(mine).values(**values))
    return found


async def first_since(connection: AsyncConnection, at: float) -> int | None:
    """The number of the first event that is not older than *at* (Unix seconds)."""
    query = select(func.min(audit_events.c.sequence)).where(audit_events.c.at >= at)
    found = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else int(found)


async def trim(connection: AsyncConnection, last: int) -> None:
    """Remove all events up to *last*; the head says so first, or the database would refuse."""
    await connection.execute(update(audit_head).values(trimmed=last))
    for table in (audit_events, audit_personal, audit_tags):
        await connection.execute(delete(table).where(table.c.sequence <= last))
