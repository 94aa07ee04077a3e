"""Tests of taking tables in."""

import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from proxy.fleet import Fleet
from proxy.keeper import TableKeeper
from proxy.slots import SlotBook
from proxy.snapshot import read_snapshot
from proxy.state import StateDirectory
from proxy.tally import Tally

BOOT = "00000000000000ff"


class Workers:
    """Stands in for the fleet: keeps what was published, and what was on disk at that moment."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self.published: list[dict[str, Any]] = []
        self.on_disk: list[tuple[int, list[str]]] = []

    def publish(self, table: dict[str, Any]) -> None:
        snapshot = read_snapshot(self._state.table)
        ledger = json.loads(self._state.ledger(BOOT).read_text())
        self.on_disk.append((snapshot["revision"] if snapshot else 0, sorted(ledger["slots"])))
        self.published.append(table)


class Kept:
    """A keeper with its surroundings."""

    def __init__(self, root: Path, slots: int = 8) -> None:
        self.state = StateDirectory(root)
        self.state.make()
        self.tally = Tally(node="n", boot=BOOT, book=SlotBook(slots))
        self.keeper = TableKeeper(self.state, self.tally)
        self.workers = Workers(self.state)
        self.keeper.serve_with(cast(Fleet, self.workers))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Seven slots."""
    return Kept(tmp_path)


def table(revision: int, *arms: str) -> dict[str, Any]:
    """A table with an arm for each "variant/stage"."""
    return {
        "revision": revision,
        "config_digest": f"sha256:{revision}",
        "arms": [
            {
                "route": "r",
                "variant": arm.split("/")[0],
                "role": "variant",
                "stage": arm.split("/")[1],
                "slot": 0,
            }
            for arm in arms
        ],
    }


def test_workers_get_a_table_after_the_disk(kept: Kept) -> None:
    """When a worker begins to count in a slot, ledger and snapshot already tell of it."""
    assert kept.keeper.apply(table(1, "a/0", "b/0"))
    assert kept.keeper.apply(table(2, "a/1", "b/0"))

    assert kept.workers.on_disk == [(1, ["1", "2"]), (2, ["1", "2", "3"])]
    assert [arm["slot"] for arm in kept.workers.published[1]["arms"]] == [3, 2]
    assert (kept.keeper.revision, kept.keeper.config_digest) == (2, "sha256:2")


def test_older_and_equal_tables(kept: Kept) -> None:
    """The same revision again is nothing; an older one is refused aloud, until a newer one comes."""
    kept.keeper.apply(table(5, "a/0"))

    assert not kept.keeper.apply(table(5, "a/0"))
    assert kept.keeper.troubles == {}
    assert not kept.keeper.apply(table(4, "a/0"))
    assert "control offers table 4, older than table 5" in kept.keeper.troubles["stale"]
    assert kept.keeper.refused == {"stale": 1, "slots": 0}

    kept.keeper.apply(table(6, "a/0"))
    assert kept.keeper.troubles == {}
    assert len(kept.workers.published) == 2


def test_table_without_slots_waits_for_them(tmp_path: Path) -> None:
    """A table that cannot be counted is refused, the old one serves, and it is used once slots are free."""
    kept = Kept(tmp_path, slots=3)
    kept.keeper.apply(table(1, "a/0"))
    kept.keeper.apply(table(2, "b/0"))

    assert not kept.keeper.apply(table(3, "c/0"))
    assert not kept.keeper.apply(table(3, "c/0"))
    assert kept.keeper.revision == 2
    assert kept.keeper.refused["slots"] == 1
    assert "table 3 needs 1 new counter slots and 0 of 2 are free" in kept.keeper.troubles["slots"]

    kept.tally.recycle(2)
    kept.keeper.retry()
    assert kept.keeper.revision == 3
    assert kept.keeper.troubles == {}


def test_newer_table_replaces_the_waiting_one(tmp_path: Path) -> None:
    """What waits is forgotten when something newer can be used."""
    kept = Kept(tmp_path, slots=3)
    kept.keeper.apply(table(1, "a/0"))
    kept.keeper.apply(table(2, "b/0"))
    kept.keeper.apply(table(3, "c/0"))

    assert kept.keeper.apply(table(4, "a/0"))
    kept.tally.recycle(4)
    kept.keeper.retry()

    assert kept.keeper.revision == 4


def test_disk_that_takes_nothing_does_not_stop_tables(kept: Kept) -> None:
    """A rollback reaches the workers although the disk is full; the failures are counted and shown."""
    for name in ("table.json", f"pages/{BOOT}.json"):
        path = kept.state.root / name
        (path.parent / f".{path.name}.{os.getpid()}").mkdir()
    kept.state.ledger(BOOT).write_text('{"slots": {}}')

    assert kept.keeper.apply(table(1, "a/0"))

    assert len(kept.workers.published) == 1
    assert kept.keeper.write_failures == 2
    assert kept.keeper.troubles.keys() == {"ledger", "snapshot"}


def test_nothing_is_written_into_a_directory_given_up(kept: Kept) -> None:
    """An agent that made room for another one does not write over the other's files."""
    kept.keeper.save_ledger()
    kept.state.ours = False
    before = kept.state.ledger(BOOT).read_bytes()

    kept.keeper.apply(table(1, "a/0"))

    assert kept.state.ledger(BOOT).read_bytes() == before
    assert not kept.state.table.exists()
