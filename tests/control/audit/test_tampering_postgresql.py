"""What a person with the rights of the database's owner does to the log in PostgreSQL is found as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from control.audit.keys import open_key, read_public
from control.audit.note import Checkpoint, parse, sign
from control.audit.offline import verify_database
from control.audit.verify import StoredNote, Verdict
from control.audit.witness import Witness
from control.store.audit import utc
from control.store.engine import open_store
from control.store.offline import open_offline
from tests.control.store.conftest import postgres_socket
from tests.helpers import postgres
from tests.helpers.audit import START, draft, write

__all__ = ["postgres_socket"]

pytestmark = pytest.mark.slow
NAME = "tampered"


@pytest.fixture
async def url(postgres_socket: str, tmp_path: Path) -> AsyncIterator[str]:
    """A log of forty events with two checkpoints."""
    place = postgres.create_database(postgres_socket, NAME)
    store = await open_store(place)
    witness = Witness(store, tmp_path)
    await witness.start()
    for number in range(0, 40, 10):
        await write(store, *(draft(number + step, tags=("x",)) for step in range(10)), at=START + number)
        if number in (10, 30):
            await witness.sign(START + number)
    await store.close()
    yield place
    postgres.drop_database(postgres_socket, NAME)


def tamper(url: str, *statements: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        for table in ("audit_events", "audit_personal", "audit_checkpoints", "audit_tiles", "audit_tags"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for statement in statements:
            connection.execute(statement)


def verify(url: str, state: Path, *older: StoredNote) -> Verdict:
    with open_offline(url) as stored:
        return verify_database(stored, read_public(state / "audit.pub"), older)


def _bodies(old: str, new: str) -> str:
    encoded = "convert_to(replace(convert_from(body, 'UTF8'), '{}', '{}'), 'UTF8')"
    return encoded.format(old, new)


CASES: dict[str, tuple[list[str], str]] = {
    "edit": (
        [f"UPDATE audit_events SET body = {_bodies(':5}', ':6}')} WHERE sequence = 7"],
        "event 7 was changed",
    ),
    "delete": (["DELETE FROM audit_events WHERE sequence = 9"], "event 9 is missing"),
    "swap": (
        [
            "UPDATE audit_events SET sequence = -1 WHERE sequence = 20",
            "UPDATE audit_events SET sequence = 20 WHERE sequence = 30",
            "UPDATE audit_events SET sequence = 30 WHERE sequence = -1",
        ],
        "in the place of event 20 stands the one numbered 30",
    ),
    "insert": (
        [
            "INSERT INTO audit_events SELECT (SELECT max(sequence) + 1 FROM audit_events), 'e-new', type, "
            "at, severity, resource_type, resource_id, body, leaf_hash FROM audit_events WHERE sequence = 5"
        ],
        "were added past the log",
    ),
    "cut": (
        ["DELETE FROM audit_events WHERE sequence > 35", "DELETE FROM audit_personal WHERE sequence > 35"],
        "missing at the end of the log",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_found_and_named(url: str, tmp_path: Path, case: str) -> None:
    """Edit a field, delete an event, swap two, insert one, cut the tail."""
    assert verify(url, tmp_path).whole
    statements, said = CASES[case]
    tamper(url, *statements)

    verdict = verify(url, tmp_path)

    assert not verdict.whole
    assert any(said in finding.text for finding in verdict.findings), verdict.findings


async def test_yesterdays_database_is_found(url: str, tmp_path: Path, postgres_socket: str) -> None:
    """Put back, it is whole in itself, but not with a newer checkpoint."""
    yesterday = postgres.create_database(postgres_socket, "yesterday", template=NAME)
    store = await open_store(url)
    witness = Witness(store, tmp_path)
    await write(store, draft(99))
    text = (await witness.sign(START + 99)).text
    await store.close()
    kept = StoredNote(size=parse(text).checkpoint.size, text=text, place="kept")

    assert verify(url, tmp_path, kept).whole
    assert {finding.kind for finding in verify(yesterday, tmp_path, kept).findings} == {"cut"}
    postgres.drop_database(postgres_socket, "yesterday")


def test_a_forged_checkpoint_is_found(url: str, tmp_path: Path) -> None:
    """Signed with another key."""
    (tmp_path / "mallory").mkdir()
    signer = open_key(tmp_path / "mallory").signer
    with open_offline(url) as stored:
        *_, last = stored.notes()
    right = parse(last.text).checkpoint
    forged = sign(Checkpoint(origin=right.origin, size=right.size, root=right.root, time=utc(START)), signer)
    tamper(url, f"UPDATE audit_checkpoints SET note = '{forged.text}' WHERE size = {last.size}")

    findings = verify(url, tmp_path).findings

    assert [finding.kind for finding in findings] == ["forged"]
    assert "signed with another key" in findings[0].text
