"""Opens the database, brings its schema up to date and hands out transactions."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine import Connection as SyncConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction, create_async_engine

from control.errors import BusyError
from control.store import registry_schema as registry_schema  # the tables it adds to the metadata
from control.store import shadow_schema as shadow_schema
from control.store import undertaking_tables
from control.store.errors import FencedError as FencedError
from control.store.errors import StoreError as StoreError
from control.store.migrate import SchemaError, is_current, upgrade
from control.store.patience import PATIENCE_SECONDS, Patience, ended, passes
from control.store.queue import Queue
from control.store.trouble import cause_of, remedy_for

# Those who write take turns before they ask for the lock: this is for programs that do not.
_BUSY_TIMEOUT_MS: Final = 10_000

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}

_SQLITE_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode=WAL",
    # NORMAL acknowledges commits that a power cut takes back; an acknowledged decision must stay.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # 16 MiB: the pages of all indexes that a long audit log is appended to; the default holds half of them.
    "PRAGMA cache_size=-16384",
    # Without this, INSERT OR REPLACE would delete an audit row and its trigger would not fire.
    "PRAGMA recursive_triggers=ON",
)


_UPGRADE_LOCK: Final = 0x68656164_75706772

Connection = AsyncConnection
"""A transaction's connection, as the functions of this package take it."""


class Store:
    """A database with the current schema. Made by `open_store`."""

    def __init__(self, engine: AsyncEngine, place: str, *, patience: float = PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._patience = patience
        self._queue = _queue(engine)
        self.place = place
        self.term: int | None = None
        """The term of the leader that this process is; None = it is none, and nothing is checked."""

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that may change rows: committed at the end, rolled back by any exception.

        Raises:
            BusyError: others kept the database for longer than patience lasts; nothing was written.
            FencedError: another process leads now.
        """
        patience = Patience(self._patience)
        try:
            async with _turn(self._queue, patience), self._engine.connect() as connection:
                await connection.execution_options(headgate_writes=True)
                transaction = await self._begin(connection, patience)
                await self._check_term(connection)
                yield connection
                # Whatever was raised before has closed the connection, which rolls back.
                await transaction.commit()
        except DBAPIError as error:
            if not ended(error):
                raise
            raise self._busy() from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that sees a single state of the database and changes nothing."""
        async with self._engine.connect() as connection, connection.begin():
            yield connection

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    async def connection(self) -> AsyncConnection:
        """A connection of its own that holds no transaction, for locks; the caller closes it."""
        return await self._engine.execution_options(isolation_level="AUTOCOMMIT").connect()

    async def close(self) -> None:
        await self._engine.dispose()

    async def _begin(self, connection: AsyncConnection, patience: Patience) -> AsyncTransaction:
        while True:
            try:
                return await connection.begin()
            except DBAPIError as error:
                if not passes(error):
                    raise
                if not await patience.pause():
                    raise self._busy() from error

    def _busy(self) -> BusyError:
        return BusyError(
            f"{self.place}: another program kept it locked for {self._patience:g} s",
            "end that program, or let it end its transaction, and try again",
        )

    async def _check_term(self, connection: AsyncConnection) -> None:
        """Refuse to write for a leader that is none any more: a later one may have written since."""
        if self.term is None:
            return
        table = undertaking_tables.leadership
        # Until this transaction ends nobody can take the next term; on SQLite nobody can write at all.
        found = (await connection.execute(select(table.c.term).with_for_update(read=True))).scalar_one()
        if found != self.term:
            raise FencedError(
                f"{self.place}: term {self.term} is over, {found} leads now; nothing was written"
            )


async def open_store(url: str, *, patience: float = PATIENCE_SECONDS) -> Store:
    """Connect to *url* (``sqlite:///path`` or ``postgresql://…``) and migrate it to the current schema.

    Whoever writes waits up to *patience* seconds for others.

    Raises:
        StoreError: wrong URL, unwritable or corrupt file, a schema newer than this version knows.
    """
    engine = _engine(url, patience)
    place = _place(engine.url)
    try:
        if engine.dialect.name == "sqlite":
            # The driver leaves a thread behind when it cannot open a file, so this is found out without it.
            await asyncio.to_thread(_try_file, engine.url.database or ":memory:")
        await _bring_up_to_date(engine, place, Patience(patience))
    except SchemaError as error:
        await engine.dispose()
        raise StoreError(f"{place}: {error}") from error
    except BusyError as error:
        await engine.dispose()
        raise StoreError(str(error)) from error
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        await engine.dispose()
        raise StoreError(f"{place}: cannot be opened: {cause_of(error)}; {remedy_for(error)}") from error
    except BaseException:
        await engine.dispose()
        raise
    return Store(engine, place, patience=patience)


async def _bring_up_to_date(engine: AsyncEngine, place: str, patience: Patience) -> None:
    while True:
        try:
            async with engine.connect() as connection:
                # Looking takes no lock: many processes that open a database in use would wait for each other.
                async with connection.begin():
                    current = await connection.run_sync(is_current)
                if engine.dialect.name == "sqlite":
                    await _check_sqlite(connection, place)
                if not current:
                    async with _turn(_queue(engine), patience):
                        await _upgrade(connection)
            return
        except (DBAPIError, sqlite3.Error) as error:
            if not passes(error) or not await patience.pause():
                raise


async def _upgrade(connection: AsyncConnection) -> None:
    await connection.execution_options(headgate_writes=True)
    async with connection.begin():
        if connection.dialect.name == "postgresql":
            # Two processes that start at once would both create the tables.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        await connection.run_sync(upgrade)


def _queue(engine: AsyncEngine) -> Queue | None:
    """Where writers of this database wait; a server has its own, and memory needs none."""
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file or file == ":memory:":
        return None
    return Queue(Path(file))


def _turn(queue: Queue | None, patience: Patience) -> AbstractAsyncContextManager[None]:
    return nullcontext() if queue is None else queue.turn(patience)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path.absolute()}"


def _engine(text: str, patience: float) -> AsyncEngine:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StoreError(f"{text!r} is not a database URL; write sqlite:///path or postgresql://…") from error
    drivers = {
        "sqlite": "sqlite+aiosqlite",
        "postgresql": "postgresql+psycopg",
        "postgres": "postgresql+psycopg",
    }
    name = url.drivername.partition("+")[0]
    if name not in drivers:
        raise StoreError(f"{name}: is not a supported database; use sqlite:///path or postgresql://…")
    try:
        engine = create_async_engine(url.set(drivername=_DRIVERS[name]), pool_pre_ping=name != "sqlite")
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"{name}: its driver is not installed; pip install 'headgate[postgres]'") from error
    if name == "sqlite":
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        event.listen(engine.sync_engine, "connect", _configure_postgresql(patience))
    return engine


def _try_file(path: str) -> None:
    sqlite3.connect(path).close()


def _place(url: URL) -> str:
    """The database as people know it: a file by its path, a server by its URL without the password."""
    if url.get_backend_name() == "sqlite":
        return url.database or "memory"
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own idea of when to begin would leave DDL outside transactions.
    connection.isolation_level = None
    try:
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()
    except BaseException:
        # The pool does not know it yet, so nobody else would; its thread would outlive the event loop.
        connection.close()
        raise


def _configure_postgresql(patience: float) -> Callable[[Any, Any], None]:
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        # Locks are given out in the order they were asked for; this ends a wait for one that never comes.
        cursor.execute(f"SET lock_timeout = {max(1, int(patience * 1000))}")
        cursor.close()
        connection.commit()

    return configure


def _begin_sqlite(connection: SyncConnection) -> None:
    # A transaction that starts reading and then writes can fail in the middle; taking the lock first cannot.
    writes = connection.get_execution_options().get("headgate_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


async def _check_sqlite(connection: AsyncConnection, place: str) -> None:
    async with connection.begin():
        answer = (await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar_one()
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
    if answer != "ok":
        raise StoreError(f"{place}: is damaged ({answer}); restore a copy or move the file away")
    if mode not in {"wal", "memory"}:
        raise StoreError(f"{place}: cannot use write-ahead logging ({mode}); put it on a local file system")
