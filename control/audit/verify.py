"""Computes the log anew from what is stored, trusting only a public key, and names what is wrong where."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from config.counted import counted
from control.audit.canonical import leaf_hash
from control.audit.keys import trusted_keys
from control.audit.kinds.log import AuditTrimmed, CheckpointSigned, SigningKeyChanged
from control.audit.merkle import HASH_BYTES, Frontier
from control.audit.note import NoteError, SignedNote, VerifierKey, parse
from control.audit.personal import Personal
from control.audit.tiles import WIDTH, root_of_hashes

_SHOWN_MAX: Final = 100
# Checkpoints whose own event has not come yet.
_TOLD_MAX: Final = 10_000
# More than were ever missing in one place; a made-up number must not keep the verifier busy for ever.
_GAP_MAX: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One row as it was found. `columns` is the index into the body, where there is one."""

    sequence: int
    body: bytes
    leaf_hash: bytes
    columns: Mapping[str, Any] = field(default_factory=dict)
    personal: Personal = field(default_factory=Personal)
    tags: tuple[str, ...] | None = None
    """What it is filed under in the index of tags, sorted; None = there is no such index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTile:
    """256 leaf hashes as they were found, from event 256 * number + 1."""

    number: int
    root: bytes
    hashes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNote:
    """A checkpoint's text, where it comes from, and the size it is filed under."""

    size: int
    text: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHead:
    """What the log says of itself; None where nothing says it."""

    size: int | None = None
    root: bytes | None = None
    trimmed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong: a word for programs, a sentence for people, and the event it is about."""

    kind: str
    text: str
    sequence: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "sequence": self.sequence, "text": self.text}


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What the verifier found. `signed` is the size of the largest checkpoint that holds."""

    size: int = 0
    root: bytes = b""
    signed: int = 0
    signed_at: str = ""
    checkpoints: int = 0
    keys: list[str] = field(default_factory=list)
    erased: int = 0
    trimmed: int = 0
    first: int = 1
    complete: bool = True
    findings: list[Finding] = field(default_factory=list)
    faults: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def add(self, kind: str, text: str, sequence: int | None = None) -> None:
        """Note a finding; all are counted, a hundred kept."""
        self.faults += 1
        if len(self.findings) < _SHOWN_MAX:
            self.findings.append(Finding(kind=kind, text=text, sequence=sequence))

    def to_json(self) -> dict[str, Any]:
        return {
            "whole": self.whole,
            "size": self.size,
            "root": self.root.hex(),
            "first": self.first,
            "complete": self.complete,
            "signed": self.signed,
            "signed_at": self.signed_at,
            "unsigned": max(0, self.size - self.signed),
            "checkpoints": self.checkpoints,
            "keys": self.keys,
            "erased": self.erased,
            "trimmed": self.trimmed,
            "faults": self.faults,
            "findings": [finding.to_json() for finding in self.findings],
        }


class Verifier:
    """Takes the events of one log in order, from the first; `notes` come sorted by size.

    What it keeps does not grow with the log. In the place of a missing or changed event it takes the hash
    that the tiles remember, so that one fault does not hide what can still be proven about the others.
    """

    def __init__(
        self,
        key: VerifierKey,
        *,
        notes: Iterable[StoredNote],
        tiles: Iterable[StoredTile] = (),
        key_changes: Sequence[Mapping[str, Any]] = (),
        head: StoredHead | None = None,
        every_note: bool = False,
    ) -> None:
        self.verdict = Verdict()
        self._keys = trusted_keys(key, key_changes)
        self.verdict.keys = [one.id for one in self._keys]
        self._notes = iter(notes)
        self._next = next(self._notes, None)
        self._tiles = iter(tiles)
        self._tile: StoredTile | None = next(self._tiles, None)
        self._head = head or StoredHead()
        self._frontier = Frontier()
        self._open: list[bytes] = []
        self._told: deque[int] = deque(maxlen=_TOLD_MAX)
        self._every_note = every_note
        self._last_good = 0
        self._trim_told = 0
        self._check_tile()
        self._skip_trimmed()

    def event(self, row: StoredEvent) -> None:
        """Check the next row."""
        expected = self._frontier.size + 1
        if row.sequence < expected:
            self.verdict.add("order", f"event {row.sequence} comes after event {expected - 1}", row.sequence)
            return
        if row.sequence > expected + _GAP_MAX:
            self.verdict.add(
                "inserted", f"event {row.sequence} stands far beyond the log's end", row.sequence
            )
            return
        if row.sequence > expected:
            self._missing(expected, row.sequence - 1)
        remembered = self._remembered(row.sequence)
        self.check(row, remembered)
        self._grow(remembered or row.leaf_hash)

    def accepts(self, note: SignedNote) -> bool:
        """Whether a trusted key has signed *note*."""
        return note.signed_by(self._keys) is not None

    def check(self, row: StoredEvent, remembered: bytes | None = None) -> None:
        """Check a row by itself: its hashes, its number, its columns, what it promises of a person."""
        self._check_row(row)
        computed = leaf_hash(row.body)
        if computed != row.leaf_hash:
            wrong = "it has not the hash stored with it"
        elif remembered is not None and remembered != computed:
            wrong = "the tree has another hash for it"
        else:
            return
        self.verdict.add("changed", f"event {row.sequence} was changed: {wrong}", row.sequence)

    def finish(self) -> Verdict:
        """What was found, after the last event."""
        verdict, head, size = self.verdict, self._head, self._frontier.size
        if head.size is not None and size < head.size:
            self._missing(size + 1, head.size, at_the_end=True)
        elif head.size is not None and size > head.size:
            verdict.add(
                "inserted",
                f"events {head.size + 1} to {size} were added past the log, which counts {head.size}",
                head.size + 1,
            )
        size, verdict.size = self._frontier.size, self._frontier.size
        verdict.root = self._frontier.root()
        if head.root is not None and head.root != verdict.root and head.size == size:
            verdict.add(
                "root", f"the stored root of {counted(size, 'event')} is not the one that follows from them"
            )
        while self._next is not None:
            note, self._next = self._next, next(self._notes, None)
            read = self._read(note)
            if read is not None:
                verdict.add(
                    "cut",
                    f"{note.place}: {note.size} events were signed at {read.checkpoint.time}, "
                    f"but there are {size}: the end was cut off, or an older copy was put in place",
                    size + 1,
                )
        if size and not verdict.signed:
            verdict.add("unsigned", "no checkpoint of this log is signed with the key that was given")
        if head.trimmed and self._trim_told < head.trimmed:
            verdict.add(
                "missing", f"events 1 to {head.trimmed} are gone, and no event tells of their removal", 1
            )
        return verdict

    def _check_row(self, row: StoredEvent) -> None:
        sequence, verdict = row.sequence, self.verdict
        try:
            body = orjson.loads(row.body)
            number = body["sequence"]
        except (ValueError, KeyError, TypeError):
            verdict.add("changed", f"event {sequence} cannot be read", sequence)
            return
        if number != sequence:
            verdict.add(
                "moved", f"in the place of event {sequence} stands the one numbered {number}", sequence
            )
        for name, value in row.columns.items():
            if body.get(name) != value:
                verdict.add(
                    "changed",
                    f"event {sequence}: it is filed under {name} {value!r} but says {body.get(name)!r}",
                    sequence,
                )
        if row.tags is not None and row.tags != tuple(sorted(body.get("tags", ()))):
            verdict.add(
                "changed",
                f"event {sequence}: it is filed under the tags {list(row.tags)} but says {body.get('tags')}",
                sequence,
            )
        self._check_personal(row, body)
        kind, details = body.get("type"), body.get("details", {})
        if kind == CheckpointSigned.name and self._every_note:
            self._check_told(sequence, details)
        elif kind == AuditTrimmed.name and str(body.get("resource_id", "")).isdigit():
            self._trim_told = max(self._trim_told, int(body["resource_id"]))

    def _check_personal(self, row: StoredEvent, body: Mapping[str, Any]) -> None:
        promised = body.get("commitments")
        if promised is None:
            return
        opened = row.personal.commitments()
        self.verdict.erased += "actor" not in opened or "origin" not in opened
        for name, value in opened.items():
            if promised.get(name) != value:
                self.verdict.add(
                    "changed",
                    f"event {row.sequence}: its {name} was changed: the log holds the hash of another",
                    row.sequence,
                )

    def _check_told(self, sequence: int, details: Mapping[str, Any]) -> None:
        size = details.get("size")
        while self._told and self._told[0] != size and isinstance(size, int) and self._told[0] < size:
            self._told.popleft()
        if self._told and self._told[0] == size:
            self._told.popleft()
        else:
            self.verdict.add(
                "missing",
                f"the checkpoint of {size} events, of which event {sequence} tells, was removed",
                sequence,
            )

    def _missing(self, first: int, last: int, *, at_the_end: bool = False) -> None:
        which = f"event {first} is" if first == last else f"events {first} to {last} are"
        where = " at the end of the log" if at_the_end else ""
        self.verdict.add("missing", f"{which} missing{where}", first)
        for sequence in range(first, min(last, first + _GAP_MAX) + 1):
            remembered = self._remembered(sequence)
            # Without a hash to put in its place no later root can be right; the events can still be read.
            self._grow(remembered or bytes(HASH_BYTES))

    def _remembered(self, sequence: int) -> bytes | None:
        number = (sequence - 1) // WIDTH
        while self._tile is not None and self._tile.number < number:
            self._tile = next(self._tiles, None)
            self._check_tile()
        if self._tile is None or self._tile.number != number or len(self._tile.hashes) != WIDTH * HASH_BYTES:
            return None
        at = (sequence - 1) % WIDTH * HASH_BYTES
        return self._tile.hashes[at : at + HASH_BYTES]

    def _check_tile(self) -> None:
        tile = self._tile
        if tile is None:
            return
        if len(tile.hashes) != WIDTH * HASH_BYTES or root_of_hashes(tile.hashes) != tile.root:
            first = tile.number * WIDTH + 1
            self.verdict.add(
                "tile", f"the stored hashes of events {first} to {first + WIDTH - 1} were changed"
            )

    def _skip_trimmed(self) -> None:
        trimmed = self._head.trimmed
        self.verdict.trimmed = trimmed
        for sequence in range(1, trimmed + 1):
            remembered = self._remembered(sequence)
            if remembered is None:
                self.verdict.add(
                    "missing", f"the hashes of removed events from {sequence} on are gone", sequence
                )
                self._head = StoredHead(size=self._head.size, root=self._head.root, trimmed=sequence - 1)
                return
            self._grow(remembered)

    def _grow(self, leaf: bytes) -> None:
        self._frontier.append(leaf)
        size = self._frontier.size
        while self._next is not None and self._next.size <= size:
            note, self._next = self._next, next(self._notes, None)
            self._told.append(note.size)
            self._check_note(note)

    def _check_note(self, note: StoredNote) -> None:
        read = self._read(note)
        if read is None:
            return
        size = self._frontier.size
        if note.size != size:
            self.verdict.add("checkpoint", f"{note.place}: it comes out of order", None)
            return
        if self._frontier.root() != read.checkpoint.root:
            since = f"event {self._last_good + 1}" if self._last_good else "the beginning"
            self.verdict.add(
                "root",
                f"{note.place}: the first {size} events are not those signed at {read.checkpoint.time}; "
                f"what was changed, added or taken out lies between {since} and event {size}",
                self._last_good + 1,
            )
            return
        self._last_good = size
        self.verdict.checkpoints += 1
        self.verdict.signed, self.verdict.signed_at = size, read.checkpoint.time

    def _read(self, note: StoredNote) -> SignedNote | None:
        try:
            read = parse(note.text)
        except NoteError as error:
            self.verdict.add("checkpoint", f"{note.place}: it is damaged: {error}")
            return None
        if read.checkpoint.size != note.size:
            self.verdict.add(
                "checkpoint", f"{note.place}: it was signed for {counted(read.checkpoint.size, 'event')}"
            )
            return None
        if read.signed_by(self._keys) is None:
            known = {key.id for key in self._keys}
            claimed = [identity for identity, _ in read.signatures]
            wrong = "its signature is not that of the key it names"
            if not known.intersection(claimed):
                wrong = (
                    f"it is signed with another key ({', '.join(claimed)}) than {', '.join(sorted(known))}"
                )
            self.verdict.add("forged", f"{note.place}: {wrong}")
            return None
        return read


def changes_of_key(bodies: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The details of events that tell of another key."""
    for body in bodies:
        try:
            event = orjson.loads(body)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("type") == SigningKeyChanged.name:
            details = event.get("details")
            if isinstance(details, dict):
                yield details
