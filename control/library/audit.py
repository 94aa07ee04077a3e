"""The audit log for scripts and notebooks: the same store, the same rules, no server needed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from control.audit.draft import read_draft
from control.audit.export import Exported, export, inclusion_proofs
from control.audit.forms import Form
from control.audit.keys import PUBLIC_FILE, read_public
from control.audit.kinds.log import AuditExported
from control.audit.note import VerifierKey
from control.audit.offline import verify_database
from control.audit.record import AuditRecord
from control.audit.report import Period, read_report, report
from control.audit.verify import Verdict
from control.errors import InvalidError, NotFoundError
from control.library.place import base_of, url_of
from control.library.session import Session
from control.store import audit, audit_search, checkpoints
from control.store.audit_search import AuditFilter
from control.store.engine import StoreError
from control.store.offline import open_offline

_PAGE = 500

Moment = datetime | date | float
"""A time: aware or UTC, a day (its beginning), or Unix seconds."""


class AuditLog(Session):
    """Reads and writes the audit log of a state directory, a database file or a URL.

    ::

        with AuditLog(".headgate", actor="nightly-training") as log:
            log.record("access_granted", "carol", details={"role": "operator"}, tags=["team:fraud"])
            for event in log.events(type="rollout_rolled_back"):
                print(event["at"], event["actor"], event["details"]["reason"])

    A running control process is no obstacle: both append to one log, each in its own transactions.
    Checkpoints are signed by the control process, which alone has the key.

    Raises:
        StoreError: there is no such place, or the database cannot be opened.
    """

    def __init__(self, place: str | Path = ".headgate", *, actor: str | None = None) -> None:
        if "://" not in str(place) and not Path(place).expanduser().exists():
            # Others begin a store where there is none; whoever looks for a log has mistaken the place.
            raise StoreError(f"there is no {place}; name the state directory of a Headgate")
        super().__init__(place, actor=actor)
        self._url, self._state = url_of(place), base_of(place)

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
            async with self.store.write() as connection:
                (record,) = await audit.append(
                    connection, [draft], origin=self.origin, at=time.time(), config_digest=""
                )
            return record.to_json()

        return self.run(write())

    def get(self, event_id: str) -> dict[str, Any]:
        """One event by its id.

        Raises:
            NotFoundError: there is none.
        """

        async def find() -> AuditRecord | None:
            async with self.store.read() as connection:
                return await audit_search.find(connection, event_id)

        return _found(self.run(find()), event_id).to_json()

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
            records = self.run(self._page(chosen, after, newest_first))
            yield from (record.to_json() for record in records)
            if len(records) < _PAGE:
                return
            after = records[-1].sequence

    def proof(self, event_id: str) -> dict[str, Any] | None:
        """The inclusion proof of an event under the newest checkpoint; None when it is not signed yet.

        Raises:
            NotFoundError: there is no such event.
        """

        async def prove() -> dict[str, Any] | None:
            async with self.store.read() as connection:
                record = _found(await audit_search.find(connection, event_id), event_id)
                newest = await checkpoints.newest(connection)
                if newest is None or newest.size < record.sequence:
                    return None
                path = (await inclusion_proofs(connection, [record], newest.size))[record.sequence]
            return {
                "body": record.body.decode(),
                "leaf_index": record.sequence - 1,
                "size": newest.size,
                "path": [step.hex() for step in path],
                "checkpoint": newest.note,
            }

        return self.run(prove())

    def export(self, path: str | Path, *, form: str = "jsonl", **wanted: Any) -> int:
        """Write events to a file, as `events` selects them; returns how many. The log tells of it.

        Raises:
            InvalidError: there is no such form.
        """
        if form not in Form.kinds:
            raise InvalidError(f"form: {form!r} is none", f"use one of {', '.join(Form.kinds)}")
        for name in ("since", "until"):
            wanted[name] = _unix(wanted.get(name))
        chosen, writer, sent = AuditFilter(**wanted), Form.kinds[form](), Exported()

        async def write() -> int:
            with Path(path).open("wb") as file:  # noqa: ASYNC230 (a loop of our own; nobody else waits)
                async for piece in export(self.store, chosen, writer, sent):
                    file.write(piece)
            event = AuditExported(
                resource_id=form,
                events=sent.count,
                first=sent.first,
                last=sent.last,
                filters=chosen.to_json(),
            )
            async with self.store.write() as connection:
                await audit.append(connection, [event], origin=self.origin, at=time.time(), config_digest="")
            return sent.count

        return self.run(write())

    def report(self, since: Moment, until: Moment) -> dict[str, Any]:
        """The compliance report of a period. The log tells of it."""
        first, last = _unix(since), _unix(until)
        assert first is not None
        assert last is not None
        period = Period(since=first, until=last)

        async def read() -> dict[str, Any]:
            made = await report(self.store, period)
            event = read_report(period, form="json", rows=made["total_events"])
            async with self.store.write() as connection:
                await audit.append(connection, [event], origin=self.origin, at=time.time(), config_digest="")
            return made

        return self.run(read())

    def verify(self, key: VerifierKey | str | Path | None = None) -> Verdict:
        """Compute the whole log anew; *key* is the public key, by default the one in the state directory.

        Raises:
            InvalidError: a database on a server has no key beside it.
        """
        if not isinstance(key, VerifierKey):
            if key is None and self._state is None:
                raise InvalidError("key: the log is on a server", f"name a copy of its {PUBLIC_FILE}")
            key = read_public(Path(key) if key is not None else Path(self._state or ".") / PUBLIC_FILE)
        with open_offline(self._url) as stored:
            return verify_database(stored, key, [])

    async def _page(self, wanted: AuditFilter, after: int | None, newest_first: bool) -> list[AuditRecord]:
        async with self.store.read() as connection:
            return await audit_search.page(
                connection, wanted, limit=_PAGE, after=after, newest_first=newest_first
            )


def _found(record: AuditRecord | None, event_id: str) -> AuditRecord:
    if record is None:
        raise NotFoundError(f"there is no event {event_id!r}", "look for it with events()")
    return record


def _unix(moment: Moment | None) -> float | None:
    if moment is None or isinstance(moment, (int, float)):
        return moment
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC).timestamp()
