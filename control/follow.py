"""Brings what the registry says into force: aliases that moved, approvals that lapsed."""

from __future__ import annotations

import logging
from typing import Final

from control.audit.events import CONTROLLER
from control.audit.kinds.reviews import ReleaseRefused
from control.change import Change
from control.clock import Clock
from control.configuration import Active, ConfigurationError
from control.ledger import Ledger
from control.registry.resolve import (
    Admitted,
    Place,
    Resolution,
    admitted,
    check_routes,
    look_up,
    substituted,
)
from control.registry.shelf import Shelf
from control.rollout.reconcile import Past, reconcile
from control.rollout.records import Record
from control.store import releases, rollouts
from control.store.engine import Connection
from control.store.releases import RegistryMovedError

log: Final = logging.getLogger("headgate.control")

_TRIES: Final = 10
# Approvals lapse by the clock, too; nobody waits for that to be written down.
_SETTLE_SECONDS: Final = 10.0


class Follower:
    """Watches the registry's revision. Other processes may write to the store, so every tick looks."""

    def __init__(self, ledger: Ledger, shelf: Shelf, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self.shelf = shelf
        self.troubles: dict[str, str] = {}
        """By upstream, why it still serves what its alias no longer stands for."""
        self._seen: tuple[int, str] | None = None
        self._settled_at = 0.0

    async def follow(self) -> None:
        """Publish one table with every alias that has moved, if any has."""
        now = self._clock.steady()
        if now >= self._settled_at + _SETTLE_SECONDS:
            self._settled_at = now
            await self.shelf.approvals.settle(CONTROLLER)
        async with self.shelf.store.read() as connection:
            revision = await releases.revision(connection)
        for _ in range(_TRIES):
            active = self._ledger.active
            if active is None or self._seen == (revision, active.digest):
                return
            try:
                revision = await self._bring_into_force()
            except RegistryMovedError:
                continue

    async def admit(self, active: Active, before: Active | None) -> tuple[Active, int]:
        """A new configuration with its aliases looked up, and the registry's revision that this is true for.

        Raises:
            ConfigurationError: an alias stands for nothing, or a protected route may not have its releases.
        """
        async with self.shelf.store.read() as connection:
            resolution = await look_up(self.shelf.desk, connection, active.unplaced)
            await check_routes(
                self.shelf.desk,
                connection,
                substituted(active.unplaced, resolution.places),
                resolution,
                before=_let_in(before),
                proposed=True,
            )
        if resolution.problems:
            raise ConfigurationError(resolution.problems)
        return active.with_places(resolution.places), resolution.revision

    async def check(self, active: Active, before: Active) -> int:
        """Make sure that protected routes may have what was put over a configuration.

        Returns the registry's revision that this is true for. What the configuration itself has was let in
        with it, so taking something off it again is always possible.

        Raises:
            ConfigurationError: they may not.
        """
        async with self.shelf.store.read() as connection:
            resolution = Resolution(revision=await releases.revision(connection))
            await check_routes(self.shelf.desk, connection, active.config, resolution, before=_let_in(before))
        if resolution.problems:
            raise ConfigurationError(resolution.problems)
        return resolution.revision

    async def past(self, active: Active) -> dict[str, Past]:
        """What the store remembers of the routes that *active* wants rollouts for."""
        async with self._ledger.store.read() as connection:
            return {
                route: await _past_of(connection, route, want.canary.identity)
                for route, want in active.wanted.items()
            }

    async def _bring_into_force(self) -> int:
        ledger = self._ledger
        async with ledger.lock:
            await ledger.fresh()
            before = ledger.active
            if before is None:
                return 0
            present = dict(before.places)
            change = Change(origin=CONTROLLER, wall=self._clock.wall(), steady=self._clock.steady())
            resolution, places = await self._choose(change, before, present)
            if places != present or change.events:
                change.registry_revision = resolution.revision
                active = before.with_places(places)
                records = reconcile(
                    change,
                    wanted=active.wanted,
                    current=ledger.records,
                    past=await self.past(active),
                    config_digest=active.digest,
                )
                await ledger.commit(change, records, active=active)
                for name, place in places.items():
                    if present.get(name) != place:
                        log.info("upstream %s is %s now", name, place.release)
            self._seen = (resolution.revision, before.digest)
            return resolution.revision

    async def _choose(
        self, change: Change, before: Active, present: dict[str, Place]
    ) -> tuple[Resolution, dict[str, Place]]:
        """What each alias shall stand for: what it does now, unless a protected route may not have that."""
        let_in = _let_in(before)
        places = dict(present)
        troubles = {}
        async with self.shelf.store.read() as connection:
            resolution = await look_up(self.shelf.desk, connection, before.unplaced)
            for problem in resolution.problems:
                troubles[problem["path"].split(".", 1)[1].rpartition(".")[0]] = problem["problem"]
            for name, place in resolution.places.items():
                if places.get(name) == place:
                    continue
                trial = Resolution(revision=resolution.revision)
                config = substituted(before.unplaced, {**places, name: place})
                await check_routes(self.shelf.desk, connection, config, trial, before=let_in)
                if not trial.problems:
                    places[name] = place
                    continue
                troubles[name] = trial.problems[0]["problem"]
                if self.troubles.get(name) != troubles[name]:
                    _tell(change, before, trial, place)
        for name in troubles.keys() - self.troubles.keys():
            log.warning("upstream %s stays as it is: %s", name, troubles[name])
        self.troubles = troubles
        return resolution, places


def _let_in(before: Active | None) -> Admitted | None:
    """What is in force, with or without what was put over it."""
    if before is None:
        return None
    return admitted(before.config, substituted(before.base, before.places))


def _tell(change: Change, before: Active, trial: Resolution, place: Place) -> None:
    for problem in trial.problems:
        route = before.config.routes[int(problem["path"].split(".")[1])]
        change.events.append(
            ReleaseRefused(
                resource_id=place.release,
                route=route.name,
                stage=route.protected or "",
                reason=problem["problem"],
            )
        )


async def _past_of(connection: Connection, route: str, identity: str) -> Past:
    row = await rollouts.newest_with_identity(connection, route=route, identity=identity)
    return Past(
        newest=None if row is None else Record.from_stored(row),
        epoch=await rollouts.highest_epoch(connection, route=route),
    )
