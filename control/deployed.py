"""Which releases begin to take requests with a routing table, and who had agreed to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from config.schema import Config
from control.audit.events import AuditEvent
from control.audit.kinds.models import ModelDeployed
from control.errors import HeadgateError
from control.registry.approval import Approval, ApprovalState
from control.registry.registry import find
from control.registry.turn import Desk
from control.store import approvals
from control.store.engine import Connection, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A release that gets requests of a route from now on; `stage` is what the route is protected for."""

    route: str
    release: str
    split: str
    stage: str


def begun(before: Mapping[str, Any] | None, after: Mapping[str, Any], config: Config) -> list[Begun]:
    """What table *after* brings that *before* did not; upstreams that name no release are nobody's model."""
    had = set() if before is None else {(route, release) for route, release, _ in _serving(before)}
    stages = {route.name: route.protected or "" for route in config.routes}
    found = {
        (route, release): Begun(route=route, release=release, split=split, stage=stages.get(route, ""))
        for route, release, split in _serving(after)
        if (route, release) not in had
    }
    return list(found.values())


async def deployed_events(store: Store, connection: Connection, each: Iterable[Begun]) -> list[AuditEvent]:
    """The events of those; an approval is named when there is one."""
    desk = Desk(store)
    events: list[AuditEvent] = []
    for one in each:
        approval = await _approval(desk, connection, one)
        model, _, version = one.release.partition(":")
        events.append(
            ModelDeployed(
                resource_id=one.release,
                model=model,
                version=version,
                route=one.route,
                strategy=one.split,
                approval="" if approval is None else approval.id,
                approved_by=[] if approval is None else list(approval.approvers),
                requested_by="" if approval is None else approval.requested_by,
            )
        )
    return events


async def _approval(desk: Desk, connection: Connection, one: Begun) -> Approval | None:
    try:
        release = await find(desk, connection, one.release)
    except HeadgateError:
        # Whoever does not use the registry may name releases as they like.
        return None
    asked = await approvals.approvals_of(connection, release.id, one.stage or None)
    return next((each for each in asked if each.state is ApprovalState.APPROVED), None)


def _serving(table: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for route in table["routes"]:
        split = route["split"]
        for number, weight in zip(split["arms"], split["weights"], strict=True):
            release = table["upstreams"][table["arms"][number]["upstream"]]["release"]
            if weight > 0 and release:
                yield route["name"], release, split["kind"]
