"""Tests of the table on disk."""

import json
import os
from pathlib import Path

import pytest

from proxy.snapshot import SnapshotError, read_snapshot, write_snapshot

TABLE = {
    "revision": 12,
    "config_digest": "sha256:x",
    "arms": [],
    "routes": [{"name": "ü", "weights": [0.05]}],
}


def test_table_comes_back_as_written(tmp_path: Path) -> None:
    """What is read is what was written, to the last value."""
    path = tmp_path / "table.json"

    write_snapshot(path, TABLE)

    assert read_snapshot(path) == TABLE
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.json"]


def test_missing_snapshot_is_none(tmp_path: Path) -> None:
    """A first start has no snapshot, which is no error."""
    assert read_snapshot(tmp_path / "table.json") is None


def test_newer_table_replaces_the_older(tmp_path: Path) -> None:
    """Only the last table is kept."""
    path = tmp_path / "table.json"
    write_snapshot(path, TABLE)

    write_snapshot(path, {**TABLE, "revision": 13})

    table = read_snapshot(path)
    assert table is not None
    assert table["revision"] == 13


def test_changed_table_is_refused(tmp_path: Path) -> None:
    """A weight edited on disk, or flipped by the disk, is noticed."""
    path = tmp_path / "table.json"
    write_snapshot(path, TABLE)
    path.write_text(path.read_text().replace("0.05", "0.95"))

    with pytest.raises(SnapshotError, match=r"table\.json: digest does not match"):
        read_snapshot(path)


@pytest.mark.parametrize("length", range(0, 130, 7))
def test_cut_table_is_refused(tmp_path: Path, length: int) -> None:
    """Half a file is never a table, wherever it ends."""
    path = tmp_path / "table.json"
    write_snapshot(path, TABLE)
    data = path.read_bytes()
    assert length < len(data)
    path.write_bytes(data[:length])

    with pytest.raises(SnapshotError):
        read_snapshot(path)


@pytest.mark.parametrize("value", [[], {}, {"table": 3, "digest": "x"}, {"table": {}, "digest": "x"}, None])
def test_other_json_is_refused(tmp_path: Path, value: object) -> None:
    """JSON of another shape is no snapshot."""
    path = tmp_path / "table.json"
    path.write_text(json.dumps(value))

    with pytest.raises(SnapshotError):
        read_snapshot(path)


def test_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    """A full or read-only disk costs the new snapshot, never the old one."""
    path = tmp_path / "table.json"
    write_snapshot(path, TABLE)
    # A directory in the place of the temporary file makes opening it fail, also for root.
    (tmp_path / f".table.json.{os.getpid()}").mkdir()

    with pytest.raises(OSError, match="directory"):
        write_snapshot(path, {**TABLE, "revision": 13})

    assert read_snapshot(path) == TABLE
