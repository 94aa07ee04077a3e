"""Verifies exported files with a public key: no database, no control plane."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from config.counted import counted
from control.audit.forms import FORMAT
from control.audit.merkle import root_by_inclusion
from control.audit.note import NoteError, VerifierKey, parse
from control.audit.offline import Progress
from control.audit.personal import Personal
from control.audit.verify import StoredEvent, StoredNote, Verdict, Verifier

_STEP: Final = 2000
# Bodies are some hundred bytes; a line of megabytes is no event of ours, and must not fill the memory.
_LINE_MAX: Final = 16 * 1024 * 1024


class ExportError(ValueError):
    """A file that is no export in JSON lines; it says which line, and why."""


@dataclass(frozen=True, slots=True)
class _Line:
    event: StoredEvent
    proof: list[bytes] | None


class ExportFile:
    """One file: its first line is read at once, events as they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about = self._first_line()
        self.end: dict[str, Any] | None = None
        note = self.about.get("checkpoint")
        self.note: StoredNote | None = None
        if isinstance(note, str):
            self.note = StoredNote(size=int(self.about["signed"]), text=note, place=f"{path}: its checkpoint")

    def lines(self) -> Iterator[_Line]:
        """Its events, in order."""
        with self.path.open("rb") as file:
            file.readline(_LINE_MAX)
            number = 1
            while raw := file.readline(_LINE_MAX):
                number += 1
                try:
                    value = orjson.loads(raw)
                    if "end" in value:
                        self.end = value["end"]
                        return
                    yield _read(value)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise ExportError(f"{self.path}: line {number} is damaged ({error})") from error

    def _first_line(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                value = orjson.loads(file.readline(_LINE_MAX))
            version = value["headgate_audit_export"]
        except OSError as error:
            raise ExportError(f"{self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ExportError(
                f"{self.path}: is no export in JSON lines; make one with --format jsonl"
            ) from error
        if version != FORMAT:
            raise ExportError(f"{self.path}: was written by a newer version")
        return dict(value)


def find_files(path: Path) -> list[Path]:
    """The files of an export: one, or all in a directory that was written by date."""
    if path.is_dir():
        return sorted(path.rglob("*.jsonl"))
    return [path]


def verify_export(
    path: Path, key: VerifierKey, older: Sequence[StoredNote], progress: Progress | None = None
) -> Verdict:
    """Check every event of an export against the checkpoint it came with, and against *older* ones.

    A complete export is also put together to the whole tree, so that nothing can be left out of it. Of a
    filtered one each event is proven; that it has all that fits the filter cannot be.

    Raises:
        ExportError: a file cannot be read.
    """
    files = [ExportFile(one) for one in find_files(path)]
    if not files:
        raise ExportError(f"{path}: holds no file ending in .jsonl")
    notes = {file.note.text: file.note for file in files if file.note is not None}
    complete = not any(file.about.get("filters") or file.about.get("trimmed") for file in files)
    merged = _merged(files)
    first = next(merged, None)
    complete = complete and (first is None or first[1].event.sequence == 1)
    stored = [*notes.values(), *older] if complete else []
    changes = [change for file in files for change in file.about.get("keys", [])]
    verifier = Verifier(key, notes=sorted(stored, key=_size), key_changes=changes)
    verdict = verifier.verdict
    verdict.complete = complete
    roots = _signed_roots(files, verifier, verdict, judge=not complete)
    counts = dict.fromkeys(files, 0)
    last = 0
    while first is not None:
        file, line = first
        _check_proof(line, roots.get(file), verdict)
        if complete:
            verifier.event(line.event)
        else:
            if line.event.sequence <= last:
                verdict.add("order", f"event {line.event.sequence} comes after {last}", line.event.sequence)
            verifier.check(line.event)
            verdict.first = verdict.first if last else line.event.sequence
            verdict.size += 1
        last = line.event.sequence
        counts[file] += 1
        if progress is not None and sum(counts.values()) % _STEP == 0:
            progress(sum(counts.values()), None)
        first = next(merged, None)
    for file in files:
        _check_end(file, counts[file], verdict)
    if complete:
        verifier.finish()
    elif not verdict.signed:
        verdict.add("unsigned", "no checkpoint in it is signed with the key that was given")
    return verdict


def _signed_roots(
    files: Iterable[ExportFile], verifier: Verifier, verdict: Verdict, *, judge: bool
) -> dict[ExportFile, tuple[int, bytes]]:
    roots = {}
    for file in files:
        if file.note is None:
            continue
        try:
            note = parse(file.note.text)
        except NoteError as error:
            verdict.add("checkpoint", f"{file.note.place}: it is damaged: {error}")
            continue
        signed = verifier.accepts(note)
        if signed:
            roots[file] = (note.checkpoint.size, note.checkpoint.root)
        if judge and signed:
            verdict.checkpoints += 1
            verdict.signed, verdict.signed_at = note.checkpoint.size, note.checkpoint.time
        elif judge:
            verdict.add("forged", f"{file.note.place}: it is not signed with a key that is trusted")
    return roots


def _check_proof(line: _Line, signed: tuple[int, bytes] | None, verdict: Verdict) -> None:
    sequence = line.event.sequence
    if signed is None or sequence > signed[0]:
        return
    size, root = signed
    if line.proof is None:
        verdict.add("proof", f"event {sequence} has lost its proof", sequence)
    elif root_by_inclusion(line.event.leaf_hash, sequence - 1, size, line.proof) != root:
        verdict.add("proof", f"event {sequence} is not the one that was signed: its proof fails", sequence)


def _check_end(file: ExportFile, count: int, verdict: Verdict) -> None:
    if file.end is None:
        verdict.add("cut", f"{file.path}: its end is missing")
    elif file.end.get("count") != count:
        verdict.add(
            "cut", f"{file.path}: it has {counted(count, 'event')}, and says it had {file.end.get('count')}"
        )


def _merged(files: Sequence[ExportFile]) -> Iterator[tuple[ExportFile, _Line]]:
    """All events by number, with no more files open than overlap."""
    waiting = sorted(files, key=lambda file: int(file.about.get("first", 0)), reverse=True)
    heap: list[tuple[int, int, ExportFile, _Line, Iterator[_Line]]] = []
    opened = 0

    def push(file: ExportFile, lines: Iterator[_Line], order: int) -> None:
        line = next(lines, None)
        if line is not None:
            heapq.heappush(heap, (line.event.sequence, order, file, line, lines))

    while waiting or heap:
        while waiting and (not heap or int(waiting[-1].about.get("first", 0)) <= heap[0][0]):
            file = waiting.pop()
            opened += 1
            push(file, file.lines(), opened)
        if heap:
            _, order, file, line, lines = heapq.heappop(heap)
            yield file, line
            push(file, lines, order)


def _read(value: dict[str, Any]) -> _Line:
    proof = value["proof"]
    return _Line(
        event=StoredEvent(
            sequence=int(value["sequence"]),
            body=value["body"].encode(),
            leaf_hash=bytes.fromhex(value["leaf_hash"]),
            personal=Personal(
                actor=value["actor"],
                actor_salt=_hex(value["actor_salt"]),
                origin=value["origin"],
                origin_salt=_hex(value["origin_salt"]),
            ),
        ),
        proof=None if proof is None else [bytes.fromhex(step) for step in proof],
    )


def _hex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _size(note: StoredNote) -> int:
    return note.size
