"""Deployments and experiments: a row each, with a document that the module it belongs to writes and reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Table, insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.undertaking_tables import deployments, experiments


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """A row. `label` is a deployment's environment, or an experiment's layer; `document` its whole JSON."""

    id: str
    route: str
    status: str
    label: str
    current: bool
    updated_at: float
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Which table, and what its label is called there."""

    table: Table
    label: str

    @property
    def column(self) -> Column[str]:
        """The label's column."""
        return self.table.c[self.label]


DEPLOYMENTS: Final = Kind(table=deployments, label="environment")
EXPERIMENTS: Final = Kind(table=experiments, label="layer")


async def save(connection: AsyncConnection, kind: Kind, row: Undertaking) -> None:
    """Write the row, new or changed."""
    values = {
        "id": row.id,
        "route": row.route,
        "status": row.status,
        kind.label: row.label,
        "current": row.current,
        "updated_at": row.updated_at,
        "document": row.document,
    }
    changed = await connection.execute(update(kind.table).where(kind.table.c.id == row.id).values(values))
    if changed.rowcount == 0:
        await connection.execute(insert(kind.table).values(values))


async def find(connection: AsyncConnection, kind: Kind, identifier: str) -> Undertaking | None:
    """The one with this id."""
    query = select(kind.table).where(kind.table.c.id == identifier)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _row(kind, row)


async def named(connection: AsyncConnection, kind: Kind, name: str) -> Undertaking | None:
    """The one with this id, else the newest of the route of this name."""
    found = await find(connection, kind, name)
    return found or next(iter(await listed(connection, kind, limit=1, route=name)), None)


async def current(connection: AsyncConnection, kind: Kind) -> list[Undertaking]:
    """Those that say where their route's requests go."""
    query = select(kind.table).where(kind.table.c.current).order_by(kind.table.c.id)
    return [_row(kind, row) for row in (await connection.execute(query)).mappings()]


async def listed(
    connection: AsyncConnection,
    kind: Kind,
    *,
    limit: int,
    before: str | None = None,
    status: str | None = None,
    label: str | None = None,
    route: str | None = None,
) -> list[Undertaking]:
    """At most *limit*, newest first, older than the one with the id *before*; None means any."""
    query = select(kind.table).order_by(kind.table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(kind.table.c.id < before)
    if status is not None:
        query = query.where(kind.table.c.status == status)
    if label is not None:
        query = query.where(kind.column == label)
    if route is not None:
        query = query.where(kind.table.c.route == route)
    return [_row(kind, row) for row in (await connection.execute(query)).mappings()]


async def mentioning(
    connection: AsyncConnection, kind: Kind, words: Sequence[str], *, limit: int
) -> list[Undertaking]:
    """At most *limit* whose document has one of *words* as a JSON text, newest first."""
    has = [kind.table.c.document.contains(f'"{word}"', autoescape=True) for word in words]
    query = select(kind.table).where(or_(*has)).order_by(kind.table.c.id.desc()).limit(limit)
    return [_row(kind, row) for row in (await connection.execute(query)).mappings()]


def _row(kind: Kind, row: RowMapping) -> Undertaking:
    return Undertaking(
        id=row["id"],
        route=row["route"],
        status=row["status"],
        label=row[kind.label],
        current=row["current"],
        updated_at=row["updated_at"],
        document=row["document"],
    )
