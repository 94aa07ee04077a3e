"""The audit log for scripts and notebooks: the same store, the same rules, no server needed."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from control.audit.draft import DraftError, read_draft
from control.audit.events import Origin
from control.audit.export import Exported, export, inclusion_proofs
from control.audit.forms import Form
from control.audit.keys import PUBLIC_FILE, read_public
from control.audit.kinds.log import AuditExported
from control.audit.note import VerifierKey
from control.audit.offline import verify_database
from control.audit.record import AuditRecord
from control.audit.report import Period, report
from control.audit.verify import Verdict
from control.store import audit, audit_search, checkpoints
from control.store.audit_search import AuditFilter
from control.store.engine import Store, open_store, sqlite_url
from control.store.offline import open_offline

__all__ = ["AuditLog", "DraftError"]

_T = TypeVar("_T")
_PAGE = 500

Moment = datetime | date | float
"""A time: aware or UTC, a day (its beginning), or Unix seconds."""


class AuditLog:
    """Reads and writes the audit log of a state directory or database; use it in a ``with`` statement.

    ::

        with AuditLog(".headgate", actor="nightly-training") as log:
            log.record("access_granted", "carol", details={"role": "operator"}, tags=["team:fraud"])
            for event in log.events(type="rollout_rolled_back"):
                print(event["at"], event["actor"], event["details"]["reason"])

    A running control process is no obstacle: both append to one log, each in its own transactions.
    Checkpoints are signed by the control process, which alone has the key.

    Raises:
        StoreError: the database cannot be opened.
    """

    def __init__(
        self, state: str | Path = ".headgate", *, database: str | None = None, actor: str = "library"
    ) -> None:
        self._state = Path(state)
        self._url = database or sqlite_url(self._state / "headgate.db")
        self._origin = Origin(actor=actor)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="audit-log", daemon=True)
        self._thread.start()
        try:
            self._store: Store = self._wait(open_store(self._url))
        except BaseException:
            self._stop()
            raise

    def record(
        self,
        type: str,
        resource_id: str,
        *,
        details: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        personal: Mapping[str, Any] | None = None,
        **more: str,
    ) -> dict[str, Any]:
        """Write an event and return it; *more* may be severity, resource_type and action.

        Raises:
            DraftError: a field is wrong, or only Headgate itself writes events of this type.
        """
        body = {"type": type, "resource_id": resource_id, "details": dict(details or {}), "tags": list(tags)}
        draft = read_draft(body | {"personal": dict(personal or {})} | more, source="library")

        async def write() -> dict[str, Any]:
            async with self._store.write() as connection:
                (record,) = await audit.append(
                    connection, [draft], origin=self._origin, at=time.time(), config_digest=""
                )
            return record.to_json()

        return self._wait(write())

    def get(self, event_id: str) -> dict[str, Any] | None:
        """One event by its id, None when there is none."""

        async def find() -> dict[str, Any] | None:
            async with self._store.read() as connection:
                record = await audit_search.find(connection, event_id)
            return None if record is None else record.to_json()

        return self._wait(find())

    def events(
        self,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        newest_first: bool = False,
        tags: Sequence[str] = (),
        **wanted: str,
    ) -> Iterator[dict[str, Any]]:
        """Events that fit: by type, actor, severity, resource_type, resource_id, time and tags."""
        chosen = AuditFilter(since=_unix(since), until=_unix(until), tags=tuple(tags), **wanted)
        after: int | None = None
        while True:
            records = self._wait(self._page(chosen, after, newest_first))
            yield from (record.to_json() for record in records)
            if len(records) < _PAGE:
                return
            after = records[-1].sequence

    def proof(self, event_id: str) -> dict[str, Any] | None:
        """The inclusion proof of an event under the newest checkpoint; None when it is not signed yet."""

        async def prove() -> dict[str, Any] | None:
            async with self._store.read() as connection:
                record = await audit_search.find(connection, event_id)
                newest = await checkpoints.newest(connection)
                if record is None or newest is None or newest.size < record.sequence:
                    return None
                path = (await inclusion_proofs(connection, [record], newest.size))[record.sequence]
            return {
                "body": record.body.decode(),
                "leaf_index": record.sequence - 1,
                "size": newest.size,
                "path": [step.hex() for step in path],
                "checkpoint": newest.note,
            }

        return self._wait(prove())

    def export(self, path: str | Path, *, form: str = "jsonl", **wanted: Any) -> int:
        """Write events to a file, as `events` selects them; returns how many. The log tells of it.

        Raises:
            KeyError: there is no such form.
        """
        for name in ("since", "until"):
            wanted[name] = _unix(wanted.get(name))
        chosen, writer, sent = AuditFilter(**wanted), Form.kinds[form](), Exported()

        async def write() -> int:
            with Path(path).open("wb") as file:  # noqa: ASYNC230 (a loop of our own; nobody else waits)
                async for piece in export(self._store, chosen, writer, sent):
                    file.write(piece)
            event = AuditExported(
                resource_id=form,
                events=sent.count,
                first=sent.first,
                last=sent.last,
                filters=chosen.to_json(),
            )
            async with self._store.write() as connection:
                await audit.append(connection, [event], origin=self._origin, at=time.time(), config_digest="")
            return sent.count

        return self._wait(write())

    def report(self, since: Moment, until: Moment) -> dict[str, Any]:
        """The compliance report of a period."""
        first, last = _unix(since), _unix(until)
        assert first is not None
        assert last is not None
        return self._wait(report(self._store, Period(since=first, until=last)))

    def verify(self, key: VerifierKey | str | Path | None = None) -> Verdict:
        """Compute the whole log anew; *key* is the public key, by default the one in the state directory."""
        if not isinstance(key, VerifierKey):
            key = read_public(Path(key) if key is not None else self._state / PUBLIC_FILE)
        with open_offline(self._url) as stored:
            return verify_database(stored, key, [])

    def close(self) -> None:
        """Let go of the database."""
        self._wait(self._store.close())
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _page(self, wanted: AuditFilter, after: int | None, newest_first: bool) -> list[AuditRecord]:
        async with self._store.read() as connection:
            return await audit_search.page(
                connection, wanted, limit=_PAGE, after=after, newest_first=newest_first
            )

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        # A loop of its own, so that it also works in a notebook, where one is running already.
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _unix(moment: Moment | None) -> float | None:
    if moment is None or isinstance(moment, (int, float)):
        return moment
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC).timestamp()
