"""Accepted configurations and published routing tables."""

from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.schema import configurations, tables

# Enough to see what was served through any recent incident; decisions keep their own numbers for ever.
_KEPT_TABLES: Final = 100
_KEPT_CONFIGURATIONS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConfiguration:
    """A configuration as the agent sent it: `body` is its JSON."""

    sequence: int
    digest: str
    source: str
    body: str
    accepted_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTable:
    """A routing table as it was published: `body` is its JSON."""

    revision: int
    config_digest: str
    body: str
    published_at: float


async def newest_configuration(connection: AsyncConnection) -> StoredConfiguration | None:
    """The configuration in force."""
    query = select(configurations).order_by(configurations.c.sequence.desc()).limit(1)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else StoredConfiguration(**row)


async def newest_configuration_sequence(connection: AsyncConnection) -> int:
    """Number of the configuration in force; 0 before the first."""
    query = select(func.coalesce(func.max(configurations.c.sequence), 0))
    return int((await connection.execute(query)).scalar_one())


async def add_configuration(
    connection: AsyncConnection, *, digest: str, source: str, body: str, at: float
) -> int:
    """Put a configuration in force; returns its sequence number."""
    row = insert(configurations).values(digest=digest, source=source, body=body, accepted_at=at)
    sequence = int((await connection.execute(row.returning(configurations.c.sequence))).scalar_one())
    old = configurations.c.sequence <= sequence - _KEPT_CONFIGURATIONS
    await connection.execute(delete(configurations).where(old))
    return sequence


async def newest_table(connection: AsyncConnection) -> StoredTable | None:
    """The table of the highest revision: what every proxy should be serving."""
    query = select(tables).order_by(tables.c.revision.desc()).limit(1)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else StoredTable(**row)


async def add_table(connection: AsyncConnection, table: StoredTable) -> None:
    """Write a table under its own, new revision.

    Raises:
        IntegrityError: the revision is already taken.
    """
    await connection.execute(insert(tables).values(asdict(table)))
    await connection.execute(delete(tables).where(tables.c.revision <= table.revision - _KEPT_TABLES))
