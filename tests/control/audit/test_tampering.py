"""Everything somebody might do to the file of the log is found, and named by its place."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from control.audit.canonical import canonical, leaf_hash
from control.audit.keys import open_key, read_public
from control.audit.merkle import Frontier
from control.audit.note import Checkpoint, parse, sign
from control.audit.offline import verify_database
from control.audit.tiles import WIDTH, tile_of
from control.audit.verify import StoredNote, Verdict
from control.store.audit import utc
from control.store.engine import sqlite_url
from control.store.offline import open_offline
from tests.helpers.audit import START, draft, log_in, write

EVENTS = 300
SIGNED = (100, 200, 330)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory whose log has more than a tile of events and three checkpoints."""
    return tmp_path_factory.mktemp("log")


async def _prepare(directory: Path) -> None:
    if (directory / "audit.key").exists():
        return
    async with log_in(directory) as (store, witness):
        number = 0
        for upto in SIGNED:
            while number < upto:
                await write(store, *(draft(number + step) for step in range(10)), at=START + number)
                number += 10
            await witness.sign(START + number)
    with closing(sqlite3.connect(directory / "headgate.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture
async def state(untouched: Path, tmp_path: Path) -> Path:
    """A copy of it to do bad things to."""
    await _prepare(untouched)
    shutil.copytree(untouched, tmp_path / "state")
    return tmp_path / "state"


def verify(state: Path, *older: StoredNote) -> Verdict:
    with open_offline(sqlite_url(state / "headgate.db")) as stored:
        return verify_database(stored, read_public(state / "audit.pub"), older)


def tamper(state: Path, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
    """Do it as somebody who owns the file: no trigger is in the way."""
    with closing(sqlite3.connect(state / "headgate.db")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            if isinstance(statement, str):
                database.execute(statement)
            else:
                database.execute(*statement)


def edit(state: Path, sequence: int, change: Callable[[dict[str, Any]], None], *, rehash: bool) -> None:
    with closing(sqlite3.connect(state / "headgate.db")) as database:
        query = "SELECT body FROM audit_events WHERE sequence = ?"
        body = orjson.loads(database.execute(query, (sequence,)).fetchone()[0])
    change(body)
    encoded = canonical(body)
    tamper(state, ("UPDATE audit_events SET body = ? WHERE sequence = ?", (encoded, sequence)))
    if rehash:
        values = (leaf_hash(encoded), sequence)
        tamper(state, ("UPDATE audit_events SET leaf_hash = ? WHERE sequence = ?", values))


def renumber(state: Path, first: int, last: int, by: int) -> None:
    """Let events *first* to *last* say another number of themselves, with a hash that fits; rows stay."""
    tamper(state)
    with closing(sqlite3.connect(state / "headgate.db")) as database, database:
        query = "SELECT sequence, body FROM audit_events WHERE sequence BETWEEN ? AND ?"
        for sequence, stored in database.execute(query, (first, last)).fetchall():
            body = orjson.loads(stored)
            encoded = canonical(body | {"sequence": body["sequence"] + by})
            values = (encoded, leaf_hash(encoded), sequence)
            database.execute("UPDATE audit_events SET body = ?, leaf_hash = ? WHERE sequence = ?", values)


def rebuild_tree(state: Path) -> None:
    """Compute every hash anew, as somebody would who has read how it is done but has no key."""
    with closing(sqlite3.connect(state / "headgate.db")) as database, database:
        rows = [
            bytes(leaf)
            for (leaf,) in database.execute("SELECT leaf_hash FROM audit_events ORDER BY sequence")
        ]
        frontier = Frontier()
        for leaf in rows:
            frontier.append(leaf)
        database.execute(
            "UPDATE audit_head SET size = ?, root = ?, frontier = ?",
            (frontier.size, frontier.root(), frontier.stored),
        )
        database.execute("DELETE FROM audit_tiles")
        for number in range(len(rows) // WIDTH):
            tile = tile_of((0, number), b"".join(rows[number * WIDTH : (number + 1) * WIDTH]))
            database.execute("INSERT INTO audit_tiles VALUES (0, ?, ?, ?)", (number, tile.root, tile.hashes))


def kinds(verdict: Verdict) -> set[str]:
    return {finding.kind for finding in verdict.findings}


def rename(body: dict[str, Any]) -> None:
    body["details"]["number"] = 4711


def test_an_untouched_log_is_whole(state: Path) -> None:
    """All checkpoints hold; what came after the last one is said to be unsigned."""
    verdict = verify(state)

    assert verdict.whole, verdict.findings
    assert verdict.checkpoints == 3
    assert verdict.size == verdict.signed + 1
    assert verdict.size - verdict.signed == 1


@pytest.mark.parametrize(("sequence", "rehash"), [(7, False), (7, True), (310, False), (310, True)])
def test_an_edited_field_is_found(state: Path, sequence: int, rehash: bool) -> None:
    """In a full tile the event itself is named even if its hash was edited too; behind it, its range."""
    edit(state, sequence, rename, rehash=rehash)

    verdict = verify(state)

    assert not verdict.whole
    if sequence == 7 or not rehash:
        assert verdict.findings[0].sequence == sequence
        assert f"event {sequence} was changed" in verdict.findings[0].text
    else:
        assert kinds(verdict) == {"root"}
        assert "lies between event 203 and event 333" in verdict.findings[0].text


def test_an_edited_field_is_found_after_every_hash_was_computed_anew(state: Path) -> None:
    """Then only the signatures know better: they say between which two checkpoints it was."""
    edit(state, 150, rename, rehash=True)
    rebuild_tree(state)

    verdict = verify(state)

    assert kinds(verdict) == {"root"}
    assert "lies between event 102 and event 202" in verdict.findings[0].text


def test_an_edited_index_is_found(state: Path) -> None:
    """A column that is searched by says something else than the event."""
    tamper(state, "UPDATE audit_events SET severity = 'critical' WHERE sequence = 12")
    tamper(state, "UPDATE audit_personal SET actor = 'mallory' WHERE sequence = 13")

    texts = [finding.text for finding in verify(state).findings]

    assert texts == [
        "event 12: it is filed under severity 'critical' but says 'info'",
        "event 13: its actor was changed: the log holds the hash of another",
    ]


@pytest.mark.parametrize("anew", [False, True])
def test_a_deleted_event_is_found(state: Path, anew: bool) -> None:
    """Its number is missing; if the others were renumbered and hashed anew, signatures fail."""
    tamper(state, "DELETE FROM audit_events WHERE sequence = 42")
    if anew:
        with closing(sqlite3.connect(state / "headgate.db")) as database:
            last = database.execute("SELECT max(sequence) FROM audit_events").fetchone()[0]
        renumber(state, 43, last, -1)
        tamper(
            state,
            "DELETE FROM audit_personal WHERE sequence = 42",
            *(
                f"UPDATE {table} SET sequence = sequence - 1 WHERE sequence = {n}"
                for n in range(43, last + 1)
                for table in ("audit_events", "audit_personal")
            ),
        )
        rebuild_tree(state)

    verdict = verify(state)

    if anew:
        assert "root" in kinds(verdict)
        assert any("between the beginning and event 101" in found.text for found in verdict.findings)
    else:
        assert [(f.kind, f.sequence, f.text) for f in verdict.findings] == [
            ("missing", 42, "event 42 is missing")
        ]


@pytest.mark.parametrize("renumbered", [False, True])
def test_two_swapped_events_are_found(state: Path, renumbered: bool) -> None:
    """Both are named, also when each was given the other's number."""
    tamper(
        state,
        "UPDATE audit_events SET sequence = -1 WHERE sequence = 20",
        "UPDATE audit_events SET sequence = 20 WHERE sequence = 30",
        "UPDATE audit_events SET sequence = 30 WHERE sequence = -1",
    )
    if renumbered:
        for sequence in (20, 30):
            edit(state, sequence, lambda body, n=sequence: body.update(sequence=n), rehash=True)  # type: ignore[misc]

    verdict = verify(state)

    found = {finding.sequence for finding in verdict.findings}
    assert {20, 30} <= found
    if not renumbered:
        assert "in the place of event 20 stands the one numbered 30" in verdict.findings[0].text


def test_an_inserted_event_is_found(state: Path) -> None:
    """At the end, past the log's own count."""
    columns = "id, type, at, severity, resource_type, resource_id, body, leaf_hash"
    size = verify(state).size
    tamper(
        state,
        f"INSERT INTO audit_events (sequence, {columns}) SELECT {size + 1}, 'e-new', "
        "type, at, severity, resource_type, resource_id, body, leaf_hash "
        "FROM audit_events WHERE sequence = 5",
    )

    verdict = verify(state)

    assert {"inserted", "moved"} <= kinds(verdict)
    assert any(f"events {size + 1} to {size + 1} were added" in f.text for f in verdict.findings)


def test_an_inserted_event_between_others_is_found(state: Path) -> None:
    """With all numbers and hashes behind it made to fit."""
    with closing(sqlite3.connect(state / "headgate.db")) as database:
        last = database.execute("SELECT max(sequence) FROM audit_events").fetchone()[0]
    tamper(
        state,
        *(
            f"UPDATE {table} SET sequence = {n + 1} WHERE sequence = {n}"
            for n in range(last, 249, -1)
            for table in ("audit_events", "audit_personal")
        ),
    )
    tamper(
        state,
        "INSERT INTO audit_events SELECT 250, 'e-new', type, at, severity, resource_type, resource_id, body, "
        "leaf_hash FROM audit_events WHERE sequence = 249",
        "INSERT INTO audit_personal SELECT 250, at, actor, actor_salt, origin, origin_salt "
        "FROM audit_personal WHERE sequence = 249",
    )
    # The row that was inserted says 249 of itself, as the one it was copied from.
    renumber(state, 250, last + 1, 1)
    rebuild_tree(state)

    verdict = verify(state)

    assert "root" in kinds(verdict)
    assert any("lies between event 203 and event" in finding.text for finding in verdict.findings)


@pytest.mark.parametrize("anew", [False, True])
def test_a_cut_tail_is_found(state: Path, anew: bool) -> None:
    """By the log's own count; if that was cut as well, by what was signed."""
    tamper(
        state,
        "DELETE FROM audit_events WHERE sequence > 290",
        "DELETE FROM audit_personal WHERE sequence > 290",
    )
    if anew:
        rebuild_tree(state)

    verdict = verify(state)

    if anew:
        assert kinds(verdict) == {"cut"}
        assert "333 events were signed" in verdict.findings[0].text
        assert "but there are 290" in verdict.findings[0].text
    else:
        assert verdict.findings[0].text.startswith("events 291 to")
        assert "missing at the end of the log" in verdict.findings[0].text


async def test_yesterdays_database_is_found_by_a_newer_checkpoint(state: Path, tmp_path: Path) -> None:
    """It is whole in itself; a checkpoint from elsewhere shows that it is not the newest."""
    shutil.copytree(state, tmp_path / "later")
    async with log_in(tmp_path / "later") as (store, witness):
        await write(store, *(draft(number) for number in range(20)))
        text = (await witness.sign(START + 1000)).text
    kept = StoredNote(size=parse(text).checkpoint.size, text=text, place="mail of Monday")

    assert verify(state).whole
    assert verify(tmp_path / "later", kept).whole
    verdict = verify(state, kept)
    assert kinds(verdict) == {"cut"}
    assert verdict.findings[0].text.startswith("mail of Monday: ")
    assert "an older copy was put in place" in verdict.findings[0].text


@pytest.mark.parametrize("same_id", [False, True])
def test_a_checkpoint_forged_with_another_key_is_found(state: Path, tmp_path: Path, same_id: bool) -> None:
    """Also if it claims the right key's id."""
    edit(state, 150, rename, rehash=True)
    rebuild_tree(state)
    (tmp_path / "mine").mkdir()
    mallory = open_key(tmp_path / "mine").signer
    right = read_public(state / "audit.pub")
    with closing(sqlite3.connect(state / "headgate.db")) as database:
        leaves = [
            bytes(one) for (one,) in database.execute("SELECT leaf_hash FROM audit_events ORDER BY sequence")
        ]
        sizes = [size for (size,) in database.execute("SELECT size FROM audit_checkpoints WHERE size > 150")]
    for size in sizes:
        frontier = Frontier()
        for leaf in leaves[:size]:
            frontier.append(leaf)
        checkpoint = Checkpoint(origin=right.name, size=size, root=frontier.root(), time=utc(START))
        note = sign(checkpoint, mallory).text
        if same_id:
            forged = parse(note)
            raw = bytes.fromhex(right.id) + forged.signatures[0][1]
            note = note.rsplit(" ", 1)[0] + " " + base64.b64encode(raw).decode() + "\n"
        tamper(state, ("UPDATE audit_checkpoints SET note = ? WHERE size = ?", (note, size)))

    verdict = verify(state)

    assert "forged" in kinds(verdict)
    wanted = "not that of the key it names" if same_id else "signed with another key"
    assert wanted in next(f.text for f in verdict.findings if f.kind == "forged")
    assert verdict.signed == 101


def test_a_removed_checkpoint_is_found(state: Path) -> None:
    """The log tells of it; with all of them gone nothing is signed."""
    tamper(state, "DELETE FROM audit_checkpoints WHERE size = (SELECT min(size) FROM audit_checkpoints)")
    assert verify(state).findings[0].text.startswith("the checkpoint of 101 events, of which event 102 tells")

    tamper(state, "DELETE FROM audit_checkpoints")
    assert {"missing", "unsigned"} == kinds(verify(state))


def test_changed_hashes_are_found(state: Path) -> None:
    """Tiles, the root, the frontier: nothing that is stored is believed."""
    tamper(state, "UPDATE audit_tiles SET root = zeroblob(32)")
    assert kinds(verify(state)) == {"tile"}
    tamper(state, "UPDATE audit_head SET root = zeroblob(32)")
    assert kinds(verify(state)) == {"tile", "root"}


def test_a_changed_index_of_tags_is_found(state: Path) -> None:
    """A tag put on an event, one for an event that is not there."""
    tamper(
        state,
        "INSERT INTO audit_tags (tag, sequence) VALUES ('quiet', 12)",
        "INSERT INTO audit_tags (tag, sequence) VALUES ('ghost', 5000)",
    )

    texts = [finding.text for finding in verify(state).findings]

    assert texts == [
        "event 12: it is filed under the tags ['quiet'] but says []",
        "the index files event 5000, which is not there, under 'ghost'",
    ]


def test_a_tile_that_does_not_belong_is_found(state: Path) -> None:
    """Of a level that the log has not reached."""
    tamper(state, "INSERT INTO audit_tiles VALUES (1, 0, zeroblob(32), zeroblob(8192))")

    assert [finding.text for finding in verify(state).findings] == [
        "tile 0 of level 1 is of no use to 334 events"
    ]


def test_trimming_by_hand_is_found(state: Path) -> None:
    """Retention leaves an event that tells of it; somebody with a shell does not."""
    tamper(state, "UPDATE audit_head SET trimmed = 256", "DELETE FROM audit_events WHERE sequence <= 256")

    assert any("no event tells of their removal" in f.text for f in verify(state).findings)


def test_an_absurd_number_does_not_keep_the_verifier_busy(state: Path) -> None:
    """A row far beyond the end is named and left out."""
    tamper(state, "UPDATE audit_events SET sequence = 9000000000000000000 WHERE sequence = 300")

    texts = [finding.text for finding in verify(state).findings]

    assert any("stands far beyond the log's end" in text for text in texts)


def test_the_database_is_only_read(state: Path) -> None:
    """Byte for byte the same after it was verified, and readable where nothing can be written."""
    before = (state / "headgate.db").read_bytes()
    (state / "headgate.db").chmod(0o400)
    state.chmod(0o500)
    try:
        assert verify(state).whole
    finally:
        state.chmod(0o700)

    assert (state / "headgate.db").read_bytes() == before
