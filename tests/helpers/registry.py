"""A registry, its approvals and artifacts on one store, and drafts to put into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from control.audit.events import Origin
from control.registry.release import Artifact, Draft, Release
from control.registry.shelf import Shelf
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


class Bench(Shelf):
    """A registry with a clock, whose audit log can be read."""

    def __init__(self, store: Store, artifacts: Path, clock: Hands) -> None:
        super().__init__(store, place=str(artifacts), now=clock)
        self.clock = clock

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


def shelf_on(store: Store, artifacts: Path, clock: Hands | None = None) -> Bench:
    """The parts on *store*."""
    return Bench(store, artifacts, clock or Hands())


def draft(version: str = "1.0.0", name: str = "fraud", **changes: Any) -> Draft:
    """A release of a model."""
    return Draft(**{"name": name, "version": version, "artifact": SOME, **changes})


async def in_production(shelf: Bench, version: str, people: People) -> Release:
    """Register a release and take it to production as it should be: alice asks, bob approves."""
    release = await shelf.registry.register(draft(version), people.alice)
    await shelf.registry.promote(release.label, "staging", people.alice)
    asked = await shelf.approvals.request(release.label, "production", people.alice, justification="better")
    await shelf.approvals.vote(asked.id, people.bob, approves=True)
    return await shelf.registry.promote(release.label, "production", people.alice)
