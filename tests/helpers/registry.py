"""A registry, its approvals and artifacts on one store, and drafts to put into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from control.audit.events import Origin
from control.registry.approvals import Approvals
from control.registry.artifacts import Artifacts
from control.registry.naming import Aliases
from control.registry.registry import Registry
from control.registry.release import Artifact, Draft, Release
from control.registry.tasks import Tasks
from control.registry.turn import Desk
from control.store import tables
from control.store.audit_search import AuditFilter, page
from control.store.engine import Store

SOME = Artifact(digest="sha256:" + "ab" * 32, size=7, name="model.bin")


class People(NamedTuple):
    """Those who act in tests."""

    alice: Origin
    bob: Origin
    carol: Origin
    dave: Origin


@dataclass(slots=True)
class Hands:
    """A clock that a test moves."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The parts of a registry on one store."""

    store: Store
    clock: Hands
    registry: Registry
    approvals: Approvals
    aliases: Aliases
    tasks: Tasks
    artifacts: Artifacts
    desk: Desk = field(repr=False)

    async def events(self) -> list[dict[str, Any]]:
        """The audit log."""
        async with self.store.read() as connection:
            records = await page(connection, AuditFilter(), limit=1000, after=None, newest_first=False)
        return [record.to_json() for record in records]

    async def told(self) -> list[tuple[str, str, str]]:
        """Type, actor and resource of every event, in order."""
        return [(event["type"], event["actor"], event["resource_id"]) for event in await self.events()]

    async def configure(self, config: Mapping[str, Any]) -> None:
        """Put a configuration in force as the control process would store it; it may be a part of one."""
        async with self.store.write() as connection:
            sequence = await tables.newest_configuration_sequence(connection)
            await tables.add_configuration(
                connection,
                digest=f"sha256:{sequence + 1}",
                source="test",
                body=orjson.dumps(config).decode(),
                at=self.clock(),
            )


def shelf_on(store: Store, artifacts: Path, clock: Hands | None = None) -> Shelf:
    """The parts on *store*."""
    clock = clock or Hands()
    desk = Desk(store, now=clock)
    return Shelf(
        store=store,
        clock=clock,
        desk=desk,
        registry=Registry(desk),
        approvals=Approvals(desk),
        aliases=Aliases(desk),
        tasks=Tasks(desk),
        artifacts=Artifacts.at(str(artifacts)),
    )


def draft(version: str = "1.0.0", name: str = "fraud", **changes: Any) -> Draft:
    """A release of a model."""
    return Draft(**{"name": name, "version": version, "artifact": SOME, **changes})


async def in_production(shelf: Shelf, version: str, people: People) -> Release:
    """Register a release and take it to production as it should be: alice asks, bob approves."""
    release = await shelf.registry.register(draft(version), people.alice)
    await shelf.registry.promote(release.label, "staging", people.alice)
    asked = await shelf.approvals.request(release.label, "production", people.alice, justification="better")
    await shelf.approvals.vote(asked.id, people.bob, approves=True)
    return await shelf.registry.promote(release.label, "production", people.alice)
