"""Which of several control processes on one database leads: a lock that ends with its holder, and a term.

The advisory lock says who may begin; PostgreSQL frees it when the connection ends, however that happens. It
cannot say that somebody still may: a process that was stopped for a minute has lost its connection without
knowing it. So each leader takes the next term, and every writing transaction looks whether the term is still
its own. A file of SQLite has one control process by the lock on its directory, and the term all the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.engine import Store
from control.store.undertaking_tables import leadership

# "headgate" as a number: other programs on the same database have other locks.
LOCK: Final = 0x6865616467617465


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """Who leads, by what it calls itself; `since` in Unix seconds. Term 0 = nobody has yet."""

    term: int
    holder: str
    since: float


class Candidate:
    """A control process that wants to lead: `lead`, `confirm` now and then, and `close` at the end."""

    def __init__(self, store: Store, holder: str) -> None:
        self._store = store
        self._holder = holder
        self._connection: AsyncConnection | None = None

    @property
    def contested(self) -> bool:
        """Whether others can want to lead, too."""
        return self._store.dialect == "postgresql"

    async def lead(self) -> Leader | None:
        """Become the leader if nobody is. The store then refuses to write once there is a later term."""
        if not await self._lock():
            return None
        async with self._store.write() as connection:
            now = time.time()
            change = update(leadership).where(leadership.c.id == 1)
            grown = change.values(term=leadership.c.term + 1, holder=self._holder, since=now)
            term = int((await connection.execute(grown.returning(leadership.c.term))).scalar_one())
        self._store.term = term
        return Leader(term=term, holder=self._holder, since=now)

    async def confirm(self) -> bool:
        """Whether the lock and the term are still ours."""
        try:
            if self._connection is not None:
                await self._connection.execute(text("SELECT 1"))
            return (await leader(self._store)).term == self._store.term
        except SQLAlchemyError:
            return False

    async def close(self) -> None:
        """Give the lock back."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            # Not back into the pool: the lock must go with it.
            await connection.invalidate()
            await connection.close()

    async def _lock(self) -> bool:
        if not self.contested:
            return True
        if self._connection is None:
            self._connection = await self._store.connection()
        try:
            row = await self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK})
            return bool(row.scalar_one())
        except SQLAlchemyError:
            await self.close()
            return False


async def leader(store: Store) -> Leader:
    """Who leads, or led last."""
    async with store.read() as connection:
        row = (await connection.execute(select(leadership))).mappings().one()
    return Leader(term=row["term"], holder=row["holder"], since=row["since"])
