"""Streams events out of the log, each with the proof that it is in what was signed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from control.audit.forms import Form
from control.audit.merkle import Node, inclusion_ranges, prove
from control.audit.note import SignedNote, parse
from control.audit.record import AuditRecord
from control.audit.tiles import Place, node_of, places
from control.audit.verify import changes_of_key
from control.store import audit, audit_search, audit_tiles, checkpoints
from control.store.audit_search import AuditFilter
from control.store.engine import Connection, Store

_PAGE: Final = 1000


@dataclass(slots=True)
class Exported:
    """What has been sent so far."""

    first: int = 0
    last: int = 0
    count: int = 0

    def to_json(self) -> dict[str, int]:
        return {"first": self.first, "last": self.last, "count": self.count}


async def export(
    store: Store, wanted: AuditFilter, form: Form, sent: Exported, *, page: int = _PAGE
) -> AsyncIterator[bytes]:
    """The export, in pieces; *sent* follows. Proofs are for the newest checkpoint; later events have none."""
    async with store.read() as connection:
        note = await _newest(connection)
        head = await audit.head(connection)
        keys = await audit_search.bodies_of_type(connection, "signing_key_changed")
    signed = 0 if note is None else note.checkpoint.size
    yield form.head(
        {
            "checkpoint": None if note is None else note.text,
            "signed": signed,
            "size": head.size,
            "trimmed": head.trimmed,
            "keys": list(changes_of_key(keys)),
            "filters": wanted.to_json(),
        }
    )
    after = 0
    while True:
        # A transaction a page: an export that takes minutes must not hold a snapshot all the while.
        async with store.read() as connection:
            records = await audit_search.page(connection, wanted, limit=page, after=after, newest_first=False)
            records = [record for record in records if record.sequence <= head.size]
            proofs = await inclusion_proofs(connection, records, signed) if form.proofs else {}
        if not records:
            break
        chunk = [form.event(record, proofs.get(record.sequence)) for record in records]
        sent.first = sent.first or records[0].sequence
        sent.last, sent.count = records[-1].sequence, sent.count + len(records)
        yield b"".join(chunk)
        after = records[-1].sequence
    yield form.tail(sent.to_json())


async def inclusion_proofs(
    connection: Connection, records: list[AuditRecord], size: int
) -> dict[int, list[bytes]]:
    """By sequence number, the proofs that these events are in the log of *size* events."""
    ranges = {
        record.sequence: inclusion_ranges(record.sequence - 1, size)
        for record in records
        if record.sequence <= size
    }
    wanted = {place for one in ranges.values() for place in places(one)}
    tiles: dict[Place, bytes] = {
        place: await audit_tiles.hashes_of(connection, place) for place in sorted(wanted)
    }
    known: dict[Node, bytes] = {}

    def node(one: Node) -> bytes:
        if one not in known:
            known[one] = node_of(tiles, one)
        return known[one]

    return {sequence: prove(one, node) for sequence, one in ranges.items()}


def day_of(line: dict[str, Any]) -> str:
    """The day, in UTC, of a line of an export, as a path: ``YYYY/MM/DD``."""
    return str(orjson.loads(line["body"])["at"])[:10].replace("-", "/")


async def _newest(connection: Connection) -> SignedNote | None:
    row = await checkpoints.newest(connection)
    return None if row is None else parse(row.note)
