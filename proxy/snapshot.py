"""The last routing table on disk: what a proxy starts from while control is away."""

import hashlib
from pathlib import Path
from typing import Final

import orjson

from proxy.slots import Table
from proxy.state import write_atomically

SNAPSHOT_BYTES_MAX: Final = 64 * 1024 * 1024


class SnapshotError(Exception):
    """A snapshot that must not be started from."""


def write_snapshot(path: Path, table: Table) -> None:
    """Replace the snapshot by `table`, surviving a loss of power; OSError when the disk does not take it."""
    encoded = _canonical(table)
    digest = _digest(encoded)
    data = b'{"digest":"' + digest.encode() + b'","table":' + encoded + b"}\n"
    write_atomically(path, data, durable=True)


def read_snapshot(path: Path) -> Table | None:
    """Return the table of the snapshot, None when there is none; SnapshotError when it is not whole."""
    try:
        with path.open("rb") as file:
            data = file.read(SNAPSHOT_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise SnapshotError(f"{path}: cannot be read: {exc.strerror}") from exc
    if len(data) > SNAPSHOT_BYTES_MAX:
        raise SnapshotError(f"{path}: larger than {SNAPSHOT_BYTES_MAX} bytes")
    try:
        value = orjson.loads(data)
        table, digest = value["table"], value["digest"]
        revision = table["revision"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise SnapshotError(f"{path}: not a table snapshot, or cut short ({exc})") from exc
    if digest != _digest(_canonical(table)):
        raise SnapshotError(
            f"{path}: digest does not match its table: changed or damaged since it was written"
        )
    if not isinstance(revision, int):
        raise SnapshotError(f"{path}: its table has no revision")
    return dict(table)


def _canonical(table: Table) -> bytes:
    return orjson.dumps(table, option=orjson.OPT_SORT_KEYS)


def _digest(encoded: bytes) -> str:
    return "sha256:" + hashlib.sha256(encoded).hexdigest()
