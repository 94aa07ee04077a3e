"""Reads the log of a database that may not be running, may be damaged, and must not be changed."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, create_engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from config.counted import counted
from control.audit.kinds.log import SigningKeyChanged
from control.audit.personal import Personal
from control.audit.tiles import WIDTH
from control.audit.upper_tiles import UpperTile
from control.audit.verify import StoredEvent, StoredHead, StoredNote, StoredTile
from control.store.audit import utc
from control.store.audit_tables import (
    audit_checkpoints,
    audit_events,
    audit_head,
    audit_personal,
    audit_tags,
    audit_tiles,
)
from control.store.engine import StoreError

_ROWS: Final = 1000
_STRAY_MAX: Final = 20
_COLUMNS: Final = ("id", "type", "severity", "resource_type", "resource_id")


class OfflineLog:
    """The log as one snapshot of the database shows it; every method streams."""

    def __init__(self, connection: Connection, place: str) -> None:
        self._connection = connection
        self.place = place

    def head(self) -> StoredHead:
        """What the log says of itself."""
        row = self._connection.execute(select(audit_head)).mappings().one_or_none()
        if row is None:
            return StoredHead()
        root = None if row["root"] is None else bytes(row["root"])
        return StoredHead(size=row["size"], root=root, trimmed=row["trimmed"])

    def events(self) -> Generator[StoredEvent]:
        """All rows, by sequence number."""
        joined = audit_events.outerjoin(audit_personal, audit_personal.c.sequence == audit_events.c.sequence)
        personal = [column for column in audit_personal.c if column.name not in ("sequence", "at")]
        query = select(*audit_events.c, *personal).select_from(joined).order_by(audit_events.c.sequence)
        with closing(self._tags()) as tags, closing(self._stream(query)) as rows:
            yield from self._with_tags(rows, tags)

    def _with_tags(
        self, rows: Iterator[Any], tags: Iterator[tuple[int, tuple[str, ...]]]
    ) -> Iterator[StoredEvent]:
        tagged = next(tags, None)
        for row in rows:
            while tagged is not None and tagged[0] < row["sequence"]:
                tagged = next(tags, None)
            yield StoredEvent(
                sequence=row["sequence"],
                body=_bytes(row["body"]),
                leaf_hash=_bytes(row["leaf_hash"]),
                columns={name: row[name] for name in _COLUMNS} | {"at": utc(row["at"])},
                tags=tagged[1] if tagged is not None and tagged[0] == row["sequence"] else (),
                personal=Personal(
                    actor=row["actor"],
                    actor_salt=None if row["actor_salt"] is None else _bytes(row["actor_salt"]),
                    origin=row["origin"],
                    origin_salt=None if row["origin_salt"] is None else _bytes(row["origin_salt"]),
                ),
            )

    def tiles(self) -> Generator[StoredTile]:
        """The tiles that hold leaf hashes."""
        query = select(audit_tiles).where(audit_tiles.c.level == 0).order_by(audit_tiles.c.number)
        for row in self._stream(query):
            yield StoredTile(number=row["number"], root=_bytes(row["root"]), hashes=_bytes(row["hashes"]))

    def stray_tags(self) -> list[tuple[int, str]]:
        """Rows of the index of tags that belong to no event, a few of them."""
        joined = audit_tags.outerjoin(audit_events, audit_events.c.sequence == audit_tags.c.sequence)
        query = select(audit_tags.c.sequence, audit_tags.c.tag).select_from(joined)
        rows = self._connection.execute(query.where(audit_events.c.sequence.is_(None)).limit(_STRAY_MAX))
        return [(row.sequence, row.tag) for row in rows]

    def upper_tiles(self) -> Iterator[UpperTile]:
        """The tiles above those that hold leaf hashes, by level and number."""
        order = (audit_tiles.c.level, audit_tiles.c.number)
        for row in self._stream(select(audit_tiles).where(audit_tiles.c.level > 0).order_by(*order)):
            hashes = _bytes(row["hashes"])
            yield UpperTile(level=row["level"], number=row["number"], root=_bytes(row["root"]), hashes=hashes)

    def roots_under(self, tile: UpperTile) -> bytes:
        """The roots of the 256 tiles below one, that are there."""
        first = tile.number * WIDTH
        query = select(audit_tiles.c.root).where(
            audit_tiles.c.level == tile.level - 1,
            audit_tiles.c.number >= first,
            audit_tiles.c.number < first + WIDTH,
        )
        rows = self._connection.execute(query.order_by(audit_tiles.c.number)).scalars()
        return b"".join(_bytes(root) for root in rows)

    def notes(self) -> Generator[StoredNote]:
        """The checkpoints, by size."""
        for row in self._stream(select(audit_checkpoints).order_by(audit_checkpoints.c.size)):
            place = f"checkpoint of {counted(row['size'], 'event')}"
            yield StoredNote(size=row["size"], text=str(row["note"]), place=place)

    def key_changes(self) -> list[bytes]:
        """The bodies of the events that tell of another key."""
        query = select(audit_events.c.body).where(audit_events.c.type == SigningKeyChanged.name)
        return [_bytes(body) for body in self._connection.execute(query).scalars()]

    def _tags(self) -> Generator[tuple[int, tuple[str, ...]]]:
        """By sequence number, what each event is filed under, sorted."""
        query = select(audit_tags).order_by(audit_tags.c.sequence)
        with closing(self._stream(query)) as found:
            for sequence, rows in groupby(found, key=lambda row: int(row["sequence"])):
                yield sequence, tuple(sorted(str(row["tag"]) for row in rows))

    def _stream(self, query: Select[Any]) -> Generator[Any]:
        result = self._connection.execution_options(yield_per=_ROWS).execute(query)
        try:
            yield from result.mappings()
        finally:
            # Whoever stops half-way leaves no cursor behind.
            result.close()


@contextmanager
def open_offline(url: str) -> Iterator[OfflineLog]:
    """The log of *url*, read-only: no migration, no lock that a writer would wait for.

    Raises:
        StoreError: it cannot be opened, or has no audit log that this version knows.
    """
    engine, place = _engine(url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            connection.execute(select(audit_tiles.c.number).limit(1)).all()
            yield OfflineLog(connection, place)
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        words = " ".join(str(cause).split())
        remedy = "name a database that Headgate of this version has opened before"
        raise StoreError(f"{place}: its audit log cannot be read ({words}); {remedy}") from error
    finally:
        engine.dispose()


def _engine(url: str) -> tuple[Engine, str]:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"{url!r} is not a database URL; write sqlite:///path or postgresql://…") from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        place = parsed.set(drivername="postgresql").render_as_string(hide_password=True)
        return create_engine(parsed.set(drivername="postgresql+psycopg")), place
    path = Path(parsed.database or "")
    if backend != "sqlite" or not path.is_file():
        raise StoreError(f"{path}: there is no such file; name the database with --database or --state")
    return create_engine("sqlite://", creator=lambda: _open_file(path)), str(path)


def _open_file(path: Path) -> sqlite3.Connection:
    location = f"file:{path.absolute()}?mode=ro"
    connection = sqlite3.connect(location, uri=True)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        # A medium that nobody can write to: SQLite may then read without the files it would share.
        connection = sqlite3.connect(f"{location}&immutable=1", uri=True)
    return connection


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
