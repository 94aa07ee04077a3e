"""Checkpoints are signed when due, keys are made once and replaced openly, an old copy is noticed."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from config.audit import Checkpoints
from control.audit.keys import KeyFileError, open_key, prepare_key, read_public, trusted_keys
from control.audit.merkle import root_of
from control.audit.note import Signer, parse
from control.audit.witness import CHECKPOINT_FILE, Intervals, Witness
from control.store import checkpoints
from tests.config.text import SMALL, load, only_problem
from tests.helpers.audit import ALICE, START, everything, fill, log_in


async def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    """Mode 0600, named in the log by the first event; the next start uses it."""
    async with log_in(tmp_path) as (store, witness):
        first = witness.key
        (event,) = await everything(store)
    async with log_in(tmp_path) as (store, witness):
        assert witness.key == first
        assert len(await everything(store)) == 1

    assert stat.S_IMODE((tmp_path / "audit.key").stat().st_mode) == 0o600
    assert read_public(tmp_path / "audit.pub") == first
    assert event.to_json()["type"] == "signing_key_changed"
    assert event.to_json()["details"]["key"] == str(first)


async def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """So is one that does not belong to the public file beside it, or is no key."""
    open_key(tmp_path)
    (tmp_path / "audit.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        open_key(tmp_path)
    (tmp_path / "audit.key").chmod(0o600)
    other = tmp_path / "other"
    other.mkdir()
    open_key(other)
    shutil.copy(other / "audit.pub", tmp_path / "audit.pub")
    with pytest.raises(KeyFileError, match="does not belong"):
        open_key(tmp_path)
    (tmp_path / "audit.key").write_text("nonsense")
    with pytest.raises(KeyFileError, match="cannot be used"):
        open_key(tmp_path)


async def test_a_configuration_says_when_checkpoints_come(tmp_path: Path) -> None:
    """What is in force when it looks counts, so a reload takes effect without a restart."""
    wanted = load(SMALL + "audit: {checkpoints: {events: 3, interval: 5m}}\n").config.audit.checkpoints
    now = Intervals(events=wanted.events, seconds=wanted.interval)
    assert (now.events, now.seconds) == (3, 300.0)
    assert load(SMALL).config.audit.checkpoints == Checkpoints()
    async with log_in(tmp_path) as (store, _):
        witness = Witness(store, tmp_path, intervals=lambda: now)
        assert await witness.look(START) is not None
        await fill(store, 3)
        assert await witness.look(START) is not None
        await fill(store, 2)
        assert await witness.look(START + 299) is None
        now = Intervals(events=2, seconds=300.0)
        assert await witness.look(START + 299) is not None


@pytest.mark.parametrize(
    ("section", "place", "problem"),
    [
        ("{checkpoints: {events: 0}}", "audit.checkpoints.events", "1"),
        ("{checkpoints: {interval: 1ms}}", "audit.checkpoints.interval", "1"),
        ("{checkpoints: {interval: 2d}}", "audit.checkpoints.interval", "86400"),
        ("{checkpoints: {interval: often}}", "audit.checkpoints.interval", "often"),
        ("{checkpoint: {}}", "audit.checkpoint", "checkpoints"),
    ],
)
def test_intervals_that_make_no_sense_are_refused_by_place(section: str, place: str, problem: str) -> None:
    """With what is allowed."""
    told = only_problem(SMALL + f"audit: {section}\n")
    assert place in told
    assert problem in told


async def test_checkpoints_come_after_so_many_events_or_so_much_time(tmp_path: Path) -> None:
    """The first at once; then by number or age; none when only the last one's own event is new."""
    async with log_in(tmp_path) as (store, _):
        witness = Witness(store, tmp_path, intervals=lambda: Intervals(events=10, seconds=60))
        first = await witness.look(START)
        assert first is not None
        assert first.checkpoint.size == 1
        assert await witness.look(START + 1000) is None
        await fill(store, 9)
        assert await witness.look(START + 1) is None
        await fill(store, 1)
        second = await witness.look(START + 2)
        assert second is not None
        assert second.checkpoint.size == 12
        await fill(store, 1)
        assert await witness.look(START + 61) is None
        third = await witness.look(START + 63)
        assert third is not None

        records = await everything(store)
        async with store.read() as connection:
            stored = await checkpoints.listed(connection, limit=10, before=None)

    assert [row.size for row in stored] == [14, 12, 1]
    for row in stored:
        note = parse(row.note)
        assert note.signed_by([witness.key]) == witness.key
        assert note.checkpoint.root == root_of(record.leaf_hash for record in records[: row.size])
    assert [r.to_json()["type"] for r in records].count("checkpoint_signed") == 3


async def test_a_new_key_is_announced_by_the_old_one(tmp_path: Path) -> None:
    """Whoever trusts either of the two finds the other in the log, and nobody else's."""
    async with log_in(tmp_path) as (store, witness):
        old = witness.key
        new = await witness.change_key("yearly", ALICE)
        details = [record.to_json()["details"] for record in await everything(store)]
        note = await witness.sign(START)
    stranger = open_key_in(tmp_path / "stranger")

    assert note.signed_by([new]) == new
    assert open_key(tmp_path).signer.key == new
    assert trusted_keys(old, details) == [old, new]
    assert trusted_keys(new, details) == [new, old]
    assert trusted_keys(stranger.key, details) == [stranger.key]
    _, forged = prepare_key(tmp_path, stranger)
    forged_details = forged.details() | {"previous": str(old)}
    assert trusted_keys(old, [*details, forged_details]) == [old, new]


def remove_database(directory: Path) -> None:
    for path in directory.glob("headgate.db*"):
        path.unlink()


def open_key_in(directory: Path) -> Signer:
    directory.mkdir()
    return open_key(directory).signer


async def test_a_change_of_key_that_was_cut_short_is_finished_or_forgotten(tmp_path: Path) -> None:
    """It depends on whether the log had told of it."""
    async with log_in(tmp_path) as (_, witness):
        old = witness.key
        prepare_key(tmp_path, witness.signer)
    async with log_in(tmp_path) as (_, witness):
        assert witness.key == old
        assert not (tmp_path / "audit.next").exists()
    async with log_in(tmp_path) as (store, witness):
        new, event = prepare_key(tmp_path, witness.signer)
        await witness._append([event], ALICE)
    async with log_in(tmp_path) as (store, witness):
        assert witness.key == new.key
        assert len([r for r in await everything(store) if r.to_json()["type"] == "signing_key_changed"]) == 2


async def test_an_older_copy_of_the_database_is_noticed_at_the_start(tmp_path: Path) -> None:
    """The checkpoint beside the key knows better; the log gets a security violation."""
    async with log_in(tmp_path) as (store, _):
        await fill(store, 5)
    shutil.copy(tmp_path / "headgate.db", tmp_path / "yesterday.db")
    async with log_in(tmp_path) as (store, witness):
        await fill(store, 300)
        await witness.sign(START)
    remove_database(tmp_path)
    (tmp_path / "yesterday.db").rename(tmp_path / "headgate.db")

    async with log_in(tmp_path) as (store, _):
        last = (await everything(store))[-1].to_json()

    assert last["type"] == "security_violation"
    assert last["severity"] == "critical"
    assert "an older copy was put back" in last["details"]["reason"]
    assert not (tmp_path / CHECKPOINT_FILE).exists()


async def test_another_log_in_the_place_of_the_signed_one_is_noticed(tmp_path: Path) -> None:
    """As long, but not the same."""
    async with log_in(tmp_path) as (store, witness):
        await fill(store, 300)
        await witness.sign(START)
    remove_database(tmp_path)
    async with log_in(tmp_path / "elsewhere") as (store, _):
        await fill(store, 400)
    shutil.copy(tmp_path / "elsewhere/headgate.db", tmp_path / "headgate.db")

    async with log_in(tmp_path) as (store, _):
        reasons = [
            r.to_json()["details"]["reason"]
            for r in await everything(store)
            if r.to_json()["type"] == "security_violation"
        ]

    assert ["another root" in reason for reason in reasons] == [True]
