"""The compliance report: what happened in a period, what stands out, what is evidence for which control."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from control.audit.controls import CONTROLS, Control
from control.audit.kinds.access import DataAccess
from control.audit.note import parse
from control.audit.record import AuditRecord
from control.store import audit, audit_counts, audit_tiles, checkpoints
from control.store.audit import utc
from control.store.engine import Connection, Store

_LISTED_MAX: Final = 200
_PEOPLE_EXCEPT: Final = frozenset({"controller", None})
_VIOLATIONS: Final = ("security_violation", "break_glass_used")
# What only happens with somebody's consent, where approvals are asked for.
_CHANGES: Final = ("model_promoted", "model_deployed")
_NOTE: Final = (
    "This report lists recorded events that an assessor may use as evidence. It does not state that any "
    "requirement is met."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `since` up to, not including, `until`, in Unix seconds."""

    since: float
    until: float


async def report(store: Store, period: Period) -> dict[str, Any]:
    """The report as plain values; lists hold at most 200 rows of each kind, totals count everything."""
    async with store.read() as connection:
        counts = await audit_counts.by_type_and_severity(connection, period.since, period.until)
        actors = await audit_counts.by_actor(connection, period.since, period.until)
        listed = await audit_counts.of_types(
            connection,
            (*_VIOLATIONS, *_CHANGES, "approval_granted", "approval_requested"),
            period.since,
            period.until,
            limit=_LISTED_MAX,
        )
        critical = await _critical(connection, period)
        integrity = await _integrity(connection)
    types, severities = Counter[str](), Counter[str]()
    for (kind, severity), number in counts.items():
        types[kind] += number
        severities[severity] += number
    people = {actor: number for actor, number in actors.items() if actor not in _PEOPLE_EXCEPT}
    rows = [record.to_json() for record in listed]
    return {
        "note": _NOTE,
        "created": utc(time.time()),
        "period": {"from": utc(period.since), "until": utc(period.until)},
        "total_events": sum(types.values()),
        "events_by_type": dict(types.most_common()),
        "events_by_severity": {
            name: severities[name] for name in ("critical", "error", "warning", "info") if severities[name]
        },
        "events_by_user": {
            "(erased)" if actor is None else actor: number
            for actor, number in sorted(actors.items(), key=lambda pair: -pair[1])[:_LISTED_MAX]
        },
        "most_active_user": max(people, key=lambda actor: people[actor], default=None),
        "most_common_type": types.most_common(1)[0][0] if types else None,
        "violations": [_brief(row) for row in rows if row["type"] in _VIOLATIONS],
        "critical_events": [_brief(record.to_json()) for record in critical],
        "separation_of_duties": separation_exceptions(rows),
        "unapproved_changes": unapproved(rows),
        "integrity": integrity,
        "controls": [_evidence(control, types, integrity) for control in CONTROLS],
    }


def read_report(period: Period, *, form: str, rows: int) -> DataAccess:
    """The event of somebody having read the report of a period."""
    return DataAccess(
        resource_id="compliance report",
        form=form,
        filters={"since": period.since, "until": period.until},
        rows=rows,
    )


def separation_exceptions(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Changes and approvals in which one person stood on both sides."""
    found = []
    for event in events:
        details, actor = event["details"], event["actor"]
        asked, approvers = details.get("requested_by") or "", details.get("approved_by") or []
        reasons = []
        if event["type"] == "approval_granted" and asked and asked == actor:
            reasons.append(f"{actor} approved what {actor} had asked for")
        if event["type"] in _CHANGES:
            if asked and asked in approvers:
                reasons.append(f"{asked} asked and approved")
            if approvers == [actor]:
                reasons.append(f"{actor} alone approved and carried out")
        found += [_brief(event) | {"exception": reason} for reason in reasons]
    return found


def unapproved(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Promotions to production and deployments that name no approval, and what went past one."""
    found = []
    for event in events:
        details = event["details"]
        changes = event["type"] == "model_deployed" or (
            event["type"] == "model_promoted" and details.get("to_stage") == "production"
        )
        if changes and not details.get("approval") and not details.get("approved_by"):
            found.append(_brief(event) | {"exception": "no approval is named"})
        elif event["type"] == "break_glass_used":
            found.append(_brief(event) | {"exception": "an approval was passed over in an emergency"})
    return found


async def _critical(connection: Connection, period: Period) -> list[AuditRecord]:
    from control.store.audit_search import AuditFilter, page

    wanted = AuditFilter(severity="critical", since=period.since, until=period.until)
    return await page(connection, wanted, limit=_LISTED_MAX, after=None, newest_first=False)


async def _integrity(connection: Connection) -> dict[str, Any]:
    """Whether the tree still begins with what was signed last; `headgate audit verify` checks every event."""
    head = await audit.head(connection)
    last = await checkpoints.newest(connection)
    rows = await audit.count(connection)
    complete = rows + head.trimmed == head.size
    found: dict[str, Any] = {
        "size": head.size,
        "root": head.root.hex(),
        "removed_by_retention": head.trimmed,
        "verdict": "whole" if complete else "events are missing",
        "checked": "size, root at the last checkpoint, number of events",
    }
    if last is None:
        return found | {"verdict": "not signed yet" if complete else found["verdict"], "checkpoint": None}
    note = parse(last.note).checkpoint
    if note.size > head.size:
        found["verdict"] = "the end was cut off"
    elif await audit_tiles.root_at(connection, note.size) != note.root:
        found["verdict"] = "it is not what was signed"
    return found | {"checkpoint": {"size": note.size, "time": note.time, "root": note.root.hex()}}


def _evidence(control: Control, types: Counter[str], integrity: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "framework": control.framework,
        "reference": control.reference,
        "topic": control.topic,
        "events": {kind: types[kind] for kind in dict.fromkeys(control.types) if types[kind]},
        "integrity": integrity["verdict"] if control.integrity else None,
    }


def _brief(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sequence": event["sequence"],
        "id": event["id"],
        "at": event["at"],
        "type": event["type"],
        "actor": event["actor"],
        "resource": f"{event['resource_type']}:{event['resource_id']}",
        "reason": event["details"].get("reason", ""),
    }
