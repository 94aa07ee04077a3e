"""Opening, migrating and refusing databases; transactions."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from control.store import engine, migrate, tables
from control.store.audit_tables import metadata
from control.store.engine import Store, StoreError, open_store, sqlite_url
from control.store.patience import Patience
from tests.helpers.control import migrated_file

_HASTY = ("PRAGMA busy_timeout=1", "PRAGMA journal_mode=WAL", "PRAGMA foreign_keys=ON")


async def _no_pause(_: Patience) -> bool:
    return False


async def test_migrations_from_empty_give_the_schema_the_code_expects(database_url: str) -> None:
    """What the migrations build and what the queries are written against are the same."""
    store = await open_store(database_url)
    async with store.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    await store.close()

    assert differences == []


def test_the_steps_that_are_known_are_those_of_the_migrations() -> None:
    """They are told by the names of their files, without the program that runs them."""
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))

    assert migrate.steps() == [script.revision for script in scripts.walk_revisions()][::-1]
    assert scripts.get_heads() == migrate.steps()[-1:]


async def test_opening_again_keeps_what_was_written(database_url: str) -> None:
    """Migrating a database that is up to date changes nothing."""
    first = await open_store(database_url)
    async with first.write() as connection:
        await tables.add_configuration(connection, digest="sha256:a", source="a.yaml", body="{}", at=1.0)
    await first.close()

    second = await open_store(database_url)
    async with second.read() as connection:
        found = await tables.newest_configuration(connection)
    await second.close()

    assert found is not None
    assert found.digest == "sha256:a"


async def test_opening_a_current_file_waits_for_no_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many processes may open a database in use; only migrating takes the lock."""
    path = tmp_path / "headgate.db"
    await migrated_file(path)
    monkeypatch.setattr(Patience, "pause", _no_pause)
    monkeypatch.setattr(engine, "_SQLITE_PRAGMAS", _HASTY)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        await (await open_store(sqlite_url(path))).close()


async def test_migrating_waits_longer_than_one_lock_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for a lock is not fair: one of many may miss it every time until its wait is over."""
    path, met = tmp_path / "headgate.db", 0
    monkeypatch.setattr(engine, "_SQLITE_PRAGMAS", _HASTY)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("BEGIN IMMEDIATE")

        async def pause(_: Patience) -> bool:
            nonlocal met
            met += 1
            if met == 3:
                writer.execute("COMMIT")
            return met <= 3

        monkeypatch.setattr(Patience, "pause", pause)
        await (await open_store(sqlite_url(path))).close()
    assert met == 3


async def test_a_lock_that_is_never_left_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When patience is over the error says what would do."""
    path = tmp_path / "headgate.db"
    monkeypatch.setattr(Patience, "pause", _no_pause)
    monkeypatch.setattr(engine, "_SQLITE_PRAGMAS", _HASTY)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked; end the other process"):
            await open_store(sqlite_url(path))


async def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    """Half a change is never kept."""

    async def fail_half_way() -> None:
        async with store.write() as connection:
            await tables.add_configuration(connection, digest="d", source="s", body="{}", at=1.0)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await fail_half_way()

    async with store.read() as connection:
        assert await tables.newest_configuration(connection) is None


async def test_one_revision_names_one_table(store: Store) -> None:
    """A second table under the same revision is refused."""
    table = tables.StoredTable(revision=7, config_digest="d", body="{}", published_at=1.0)
    async with store.write() as connection:
        await tables.add_table(connection, table)

    with pytest.raises(IntegrityError):
        async with store.write() as connection:
            await tables.add_table(connection, table)


async def test_old_tables_are_dropped_and_the_newest_is_found(store: Store) -> None:
    """The history of tables has a bound."""
    async with store.write() as connection:
        for revision in range(1, 131):
            await tables.add_table(
                connection,
                tables.StoredTable(
                    revision=revision, config_digest="d", body=str(revision), published_at=1.0
                ),
            )
    async with store.read() as connection:
        newest = await tables.newest_table(connection)
        count = (await connection.execute(text("SELECT count(*) FROM tables"))).scalar_one()

    assert newest is not None
    assert newest.body == "130"
    assert count == 100


async def test_sqlite_runs_with_the_settings_that_survive_a_power_cut(tmp_path: Path) -> None:
    """Write-ahead logging, full synchronisation, foreign keys and a wait for locks are on."""
    store = await open_store(sqlite_url(tmp_path / "headgate.db"))
    async with store.read() as connection:
        settings = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "recursive_triggers")
        }
    await store.close()

    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
        "recursive_triggers": 1,
    }


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """An old version must not write into a database it does not understand."""
    path = tmp_path / "headgate.db"
    await (await open_store(sqlite_url(path))).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()

    with pytest.raises(StoreError, match=r"9999.*does not know.*newer"):
        await open_store(sqlite_url(path))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "not a database URL"),
        ("mysql://localhost/x", "not a supported database"),
        ("sqlite:////nowhere/at/all/x.db", "unable to open.*directory"),
        ("postgresql://headgate@/x?host=/nowhere/at/all", "cannot be opened"),
    ],
)
async def test_what_cannot_be_opened_says_why(url: str, message: str) -> None:
    """One clear error that names the database and what would do."""
    with pytest.raises(StoreError, match=message):
        await open_store(url)


async def test_a_corrupt_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database is named as such, and left alone."""
    path = tmp_path / "headgate.db"
    path.write_bytes(b"this is no database" * 500)

    with pytest.raises(StoreError, match=r"not a database.*restore a copy"):
        await open_store(sqlite_url(path))

    assert path.read_bytes().startswith(b"this is no database")


async def test_a_damaged_page_is_refused(tmp_path: Path) -> None:
    """Rubbish in the middle of a database is found before anything is served from it."""
    path = tmp_path / "headgate.db"
    store = await open_store(sqlite_url(path))
    async with store.write() as connection:
        for number in range(200):
            await tables.add_configuration(
                connection, digest=str(number), source="s", body="x" * 2000, at=float(number)
            )
    await store.close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : -4096] = b"\xa5" * (len(content) - 4096 * 4)
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r"malformed|damaged"):
        await open_store(sqlite_url(path))


async def test_passwords_do_not_appear_in_errors() -> None:
    """A database URL may carry a password; an error may be pasted anywhere."""
    with pytest.raises(StoreError) as caught:
        await open_store("postgresql://headgate:hunter2@127.0.0.1:1/x?connect_timeout=1")

    assert "hunter2" not in str(caught.value)
