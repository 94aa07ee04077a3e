"""Verifies a whole database, with the control plane switched off."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from control.audit.note import VerifierKey
from control.audit.upper_tiles import check_upper_tiles
from control.audit.verify import StoredNote, StoredTile, Verdict, Verifier, changes_of_key
from control.store.offline import OfflineLog

Progress = Callable[[int, int | None], None]
"""Told now and then: events checked so far, and how many there are if that is known."""

_STEP = 2000


def verify_database(
    stored: OfflineLog, key: VerifierKey, older: Sequence[StoredNote], progress: Progress | None = None
) -> Verdict:
    """Check every event, tile and checkpoint of *stored*; *older* are checkpoints kept elsewhere."""
    with closing(stored.notes()) as notes, closing(stored.tiles()) as tiles:
        sizes = heapq.merge(notes, sorted(older, key=_size), key=_size)
        verifier = _read_through(stored, key, sizes, tiles, progress)
        verdict = verifier.finish()
    for sequence, tag in stored.stray_tags():
        text = f"the index files event {sequence}, which is not there, under {tag!r}"
        verdict.add("inserted", text, sequence)
    check_upper_tiles(verdict, verdict.size, stored.upper_tiles(), stored.roots_under)
    return verdict


def _read_through(
    stored: OfflineLog,
    key: VerifierKey,
    notes: Iterable[StoredNote],
    tiles: Iterable[StoredTile],
    progress: Progress | None,
) -> Verifier:
    head = stored.head()
    verifier = Verifier(
        key,
        notes=notes,
        tiles=tiles,
        key_changes=list(changes_of_key(stored.key_changes())),
        head=head,
        every_note=True,
    )
    with closing(stored.events()) as events:
        for done, row in enumerate(events, 1):
            verifier.event(row)
            if progress is not None and done % _STEP == 0:
                progress(done, head.size)
    return verifier


def _size(note: StoredNote) -> int:
    return note.size
