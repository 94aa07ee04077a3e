"""Signs the log's head now and then, and notices when the log is not the one that was signed before."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from config.counted import counted
from control.audit.events import CONTROLLER, AuditEvent, Origin
from control.audit.keys import first_key, open_key, prepare_key, prepared_key, settle_key
from control.audit.kinds.access import SecurityViolation
from control.audit.kinds.log import CheckpointSigned, SigningKeyChanged
from control.audit.merkle import is_consistent
from control.audit.note import Checkpoint, NoteError, SignedNote, Signer, VerifierKey, parse, sign
from control.store import audit, audit_search, audit_tiles, checkpoints
from control.store.checkpoints import StoredCheckpoint
from control.store.engine import Connection, Store
from control.trouble import Trouble

log: Final = logging.getLogger("headgate.audit")

CHECKPOINT_FILE: Final = "audit.checkpoint"
EVENTS_MAX: Final = 1000
SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """When to sign: so many events after the last checkpoint, or any and it is so many seconds old."""

    events: int = EVENTS_MAX
    seconds: float = SECONDS_MAX


class Witness:
    """Signs the log's head at the *intervals* that are in force when it looks.

    A checkpoint is of the log as a snapshot shows it, so appends never wait for a signature. The newest is
    also kept in a file beside the key: a database that was put back to an earlier state disagrees with it.
    """

    def __init__(
        self, store: Store, directory: Path, *, intervals: Callable[[], Intervals] = Intervals
    ) -> None:
        self._store = store
        self._directory = directory
        self._intervals = intervals
        self._signer: Signer | None = None
        self._lock = asyncio.Lock()
        self.signed = 0
        self.failures = 0
        self._trouble = Trouble(log, "no checkpoint could be signed", "look at the key and its directory")

    @property
    def signer(self) -> Signer:
        """The key that signs at present."""
        if self._signer is None:
            self._signer = open_key(self._directory).signer
        return self._signer

    @property
    def key(self) -> VerifierKey:
        return self.signer.key

    async def start(self) -> None:
        """Open or make the key, and compare the log with the checkpoint that was kept beside it.

        Raises:
            KeyFileError: the key cannot be used.
        """
        events: list[AuditEvent] = []
        async with self._store.read() as connection:
            head = await audit.head(connection)
            problem = await self._disagreement(connection, head.size)
            told = await audit_search.resources(connection, SigningKeyChanged.name)
        # A process may have ended between the event that tells of a new key and the use of that key.
        waiting = prepared_key(self._directory)
        settle_key(self._directory, use=waiting is not None and waiting.key.id in told)
        self._signer = open_key(self._directory).signer
        if self.key.id not in told:
            events.append(first_key(self.signer))
        if problem:
            log.error("the audit log is not the one that was signed: %s", problem)
            events.append(SecurityViolation(resource_id="audit_log", reason=problem))
        if events:
            await self._append(events, CONTROLLER)
        if problem:
            (self._directory / CHECKPOINT_FILE).rename(
                self._directory / f"{CHECKPOINT_FILE}.{int(time.time())}"
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second until *stop* is set; what goes wrong is logged, counted, and tried again."""
        while not stop.is_set():
            try:
                await self.look(time.time())
            except Exception as error:
                self.failures += 1
                self._trouble.failed(error)
            else:
                self._trouble.worked()
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look(self, now: float) -> SignedNote | None:
        """Sign if it is time to; *now* in Unix seconds."""
        async with self._store.read() as connection:
            size = await audit.size(connection)
            last = await checkpoints.newest(connection)
        wanted = self._intervals()
        before = 0 if last is None else last.size
        # The event that tells of a checkpoint needs none of its own, or there would be no end.
        fresh = size - before - (0 if last is None else 1)
        if fresh <= 0 or (fresh < wanted.events and last is not None and now - last.at < wanted.seconds):
            return None
        return await self.sign(now)

    async def sign(self, now: float) -> SignedNote:
        """Sign the log as it is now, unless that is signed already; returns the note."""
        async with self._lock:
            signer = self.signer
            async with self._store.read() as connection:
                head = await audit.head(connection)
                last = await checkpoints.newest(connection)
            if last is not None and last.size >= head.size - 1 > 0:
                return parse(last.note)
            checkpoint = Checkpoint(origin=signer.name, size=head.size, root=head.root, time=audit.utc(now))
            note = sign(checkpoint, signer)
            event = CheckpointSigned(
                resource_id=str(head.size), size=head.size, root=head.root.hex(), key=signer.key.id
            )
            async with self._store.write() as connection:
                stored = StoredCheckpoint(size=head.size, at=now, note=note.text)
                if await checkpoints.add_checkpoint(connection, stored):
                    await audit.append(connection, [event], origin=CONTROLLER, at=now, config_digest="")
            await asyncio.to_thread(_write, self._directory / CHECKPOINT_FILE, note.text)
            self.signed += 1
            return note

    async def change_key(self, reason: str, origin: Origin) -> VerifierKey:
        """Sign with a new key from here on; the log says so, signed by both."""
        async with self._lock:
            new, event = await asyncio.to_thread(prepare_key, self._directory, self.signer)
            await self._append([replace(event, reason=reason)], origin)
            await asyncio.to_thread(settle_key, self._directory, use=True)
            self._signer = new
            log.warning("the key of the audit log was changed to %s: %s", new.key.id, reason)
            return new.key

    async def _append(self, events: list[AuditEvent], origin: Origin) -> None:
        async with self._store.write() as connection:
            await audit.append(connection, events, origin=origin, at=time.time(), config_digest="")

    async def _disagreement(self, connection: Connection, size: int) -> str:
        """How the log differs from the last checkpoint kept beside the key; empty when it does not."""
        path = self._directory / CHECKPOINT_FILE
        try:
            kept = parse(path.read_text("utf-8")).checkpoint
        except FileNotFoundError:
            return ""
        except (NoteError, UnicodeDecodeError) as error:
            return f"{path} cannot be read: {error}"
        if size < kept.size:
            return (
                f"it has {counted(size, 'event')}, but {kept.size} were signed at {kept.time}: "
                "its end was cut off, or an older copy was put back"
            )
        if not kept.size:
            return ""
        root = await audit_tiles.root_at(connection, kept.size)
        if root != kept.root:
            return f"its first {kept.size} events have another root than was signed at {kept.time}"
        head = await audit.head(connection)
        path_to_head = await audit_tiles.consistency(connection, kept.size, head.size)
        if not is_consistent(kept.size, head.size, root, head.root, path_to_head):
            return f"its tree does not continue the one that was signed at {kept.time}"
        return ""


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
