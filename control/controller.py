"""What can be asked of the control plane: take a configuration, counts or a command."""

import logging
from pathlib import Path
from typing import Final

from config.diff import diff
from control.audit.events import CONTROLLER, ConfigurationChanged, Origin, RevisionSkipped
from control.calendar import frozen
from control.change import Change, Lifted, NewConfiguration
from control.clock import Clock
from control.collect import Taken
from control.configuration import Active, read_configuration, with_overlays
from control.deployments.deployment import Deployment
from control.errors import ConflictError
from control.follow import Follower
from control.ledger import Ledger
from control.registry.shelf import Shelf
from control.reports import Report
from control.rollout.commands import Refused, Verb, carry_out
from control.rollout.reconcile import reconcile
from control.rollout.records import Record
from control.shadows.events import shadow_events
from control.store.releases import RegistryMovedError
from control.withdrawal import withdraw

log: Final = logging.getLogger("headgate.control")

_CHANGES_SHOWN: Final = 200


class UnknownRolloutError(Exception):
    """No route and no rollout has this name; `known` lists what there is."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no rollout {name!r}")
        self.name = name
        self.known = known


class Controller:
    """One operation a method, each one transaction."""

    def __init__(self, ledger: Ledger, clock: Clock, *, base: Path | None = None) -> None:
        self.ledger = ledger
        self.clock = clock
        self.shelf = Shelf(ledger.store, base=base, now=clock.wall)
        self.follower = Follower(ledger, self.shelf, clock)

    async def start(self) -> None:
        """Read the store, and publish the table that was in force when the former process ended."""
        ledger = self.ledger
        async with ledger.lock:
            await ledger.fresh()
            await ledger.restore_counts(self.clock.steady())
            # Another version may compile the same configuration differently.
            if ledger.outdated():
                await ledger.commit(self.change(CONTROLLER), ledger.records, recompile=True)

    def change(self, origin: Origin) -> Change:
        """An empty change, now."""
        return Change(origin=origin, wall=self.clock.wall(), steady=self.clock.steady())

    async def configure(
        self, value: object, *, digest: str, source: str, origin: Origin, seen: int = 0
    ) -> int:
        """Bring a configuration into force; returns the revision of its table. The same one twice is once.

        *seen* is the revision that the sender serves by: whatever is published after this is newer.

        Raises:
            ConfigurationError: it cannot be used; the one before stays in force.
        """
        while True:
            try:
                return await self._configure(value, digest=digest, source=source, origin=origin, seen=seen)
            except RegistryMovedError:
                log.info("the registry has changed meanwhile; looking again")

    async def _configure(self, value: object, *, digest: str, source: str, origin: Origin, seen: int) -> int:
        ledger = self.ledger
        async with ledger.lock:
            await ledger.fresh()
            before = ledger.active
            if before is not None and before.digest == digest:
                await self._skip(seen)
                return ledger.revision
            change = self.change(origin)
            active = read_configuration(
                value, digest=digest, source=source, at=change.wall, overlays=ledger.overlays()
            )
            active, change.registry_revision = await self.follower.admit(active, before)
            withdraw(change, ledger, active.stale)
            ledger.skip(seen)
            change.configuration = NewConfiguration(digest=digest, source=source, body=active.body)
            change.events.append(
                ConfigurationChanged(
                    resource_id=source,
                    digest=digest,
                    previous="" if before is None else before.digest,
                    revision=ledger.next_revision,
                    changes=[] if before is None else _changes(before, active),
                )
            )
            change.events += ledger.standing.access_events(active.base.admin.tokens)
            change.events += shadow_events(None if before is None else before.config, active.config)
            records = reconcile(
                change,
                wanted=active.wanted,
                current=ledger.records,
                past=await self.follower.past(active),
                config_digest=digest,
            )
            await ledger.commit(change, records, active=active)
            return ledger.revision

    async def take(self, report: Report) -> Taken:
        """Merge a report of counts. What its sender will not send again is on disk when this returns."""
        ledger = self.ledger
        boot = (report.node, report.boot)
        if not ledger.collector.has_ended(boot):
            ledger.shadows.take(boot, report.shadows)
            if report.final:
                ledger.shadows.end(boot)
        taken = ledger.collector.take(report, self.clock.steady())
        parting = taken.accepted > 0 and any(arm.key.stage not in ledger.live_stages for arm in report.arms)
        if report.final or parting:
            async with ledger.lock:
                await ledger.fresh()
                change = self.change(CONTROLLER)
                change.counts = ledger.collector.unsaved()
                change.shadows = ledger.shadows.unsaved()
                await ledger.commit(change, ledger.records)
        return taken

    async def command(
        self, name: str, verb: Verb, reason: str, origin: Origin, *, override_freeze: bool = False
    ) -> Record | None:
        """Do what a person asks of the rollout of a route, or with an id; None when it has no rollout.

        Raises:
            UnknownRolloutError: there is none.
            Refused: its state does not allow it.
        """
        ledger = self.ledger
        async with ledger.lock:
            await ledger.fresh()
            change = self.change(origin)
            record = self.find(name)
            if record is None:
                await self._lift(change, name, verb, reason)
                return None
            if verb is Verb.RESTART:
                _check_deployment(ledger.deployments.get(record.rollout.route))
            quarantine = ledger.quarantine.get(record.subject)
            after = carry_out(
                change,
                record,
                verb,
                reason,
                quarantine=quarantine,
                frozen=frozen(record.plan.freezes, change.wall),
                override_freeze=override_freeze,
            )
            await ledger.commit(change, ledger.records | {after.rollout.route: after})
            return after

    async def skip_to(self, seen: int) -> None:
        """Publish beyond revision *seen*, which a proxy knows and this store does not."""
        async with self.ledger.lock:
            await self.ledger.fresh()
            await self._skip(seen)

    def find(self, name: str) -> Record | None:
        """The rollout in charge of the route *name*, or with the id *name*."""
        records = self.ledger.records
        if name in records:
            return records[name]
        return next((record for record in records.values() if record.rollout.id == name), None)

    def names(self) -> list[str]:
        """The routes that take commands."""
        return sorted({*self.ledger.records, *self.ledger.blocked()})

    async def settle(self, change: Change, *, anew: frozenset[str] = frozenset()) -> None:
        """Commit *change* with what its deployments and experiments put over the configuration.

        On routes in *anew* a rollout that was ended begins anew: somebody asked for that.
        The caller holds the lock and has called `fresh`.

        Raises:
            ConfigurationError: the result cannot be served.
        """
        ledger = self.ledger
        before = ledger.active
        if before is None:
            await ledger.commit(change, ledger.records)
            return
        if tuple(ledger.overlays(change)) == before.overlays:
            await ledger.commit(change, ledger.records)
            return
        active, change.registry_revision = await self._overlaid(change, before)
        records = reconcile(
            change,
            wanted=active.wanted,
            current=ledger.records,
            past=await self.follower.past(active),
            config_digest=before.digest,
            anew=anew,
        )
        try:
            await ledger.commit(change, records, active=active)
        except RegistryMovedError as error:
            raise ConflictError("the registry has changed meanwhile", "try again") from error

    async def try_out(self, change: Change) -> None:
        """Make sure that `settle` could commit *change*, which is then not written.

        Raises:
            ConfigurationError: the result cannot be served, or a protected route may not have it.
        """
        if self.ledger.active is not None:
            await self._overlaid(change, self.ledger.active)

    async def _overlaid(self, change: Change, before: Active) -> tuple[Active, int]:
        active = with_overlays(
            before.base,
            digest=before.digest,
            source=before.source,
            at=before.accepted_at,
            overlays=self.ledger.overlays(change),
            places=before.places,
        )
        return active, await self.follower.check(active, before)

    async def _skip(self, seen: int) -> None:
        ledger = self.ledger
        if seen <= ledger.revision or ledger.active is None:
            return
        known = ledger.revision
        ledger.skip(seen)
        change = self.change(CONTROLLER)
        change.events.append(
            RevisionSkipped(resource_id="table", known=known, seen=seen, revision=ledger.next_revision)
        )
        await ledger.commit(change, ledger.records, recompile=True)

    async def _lift(self, change: Change, name: str, verb: Verb, reason: str) -> None:
        """Lift the quarantine of a canary that has a fixed weight, the only command such a route takes."""
        row = self.ledger.blocked().get(name)
        if row is None:
            raise UnknownRolloutError(name, self.names())
        if verb is not Verb.RESTART or not reason:
            raise Refused(
                "quarantined",
                f"the canary of {name} is quarantined: {row.reason}",
                "restart it with a reason to lift that",
            )
        change.lifted.append(Lifted(quarantine=row, reason=reason))
        await self.ledger.commit(change, self.ledger.records)


def _check_deployment(deployment: Deployment | None) -> None:
    """What ended with its deployment does not go on without one."""
    if deployment is not None and deployment.finished:
        status = deployment.status.name.lower().replace("_", " ")
        raise Refused(
            "illegal_transition",
            f"deployment {deployment.id} of {deployment.route} is {status}, and its rollout with it",
            "make another deployment; with --lift-quarantine and a reason if the release was rolled back",
        )


def _changes(before: Active, after: Active) -> list[str]:
    # The stored configuration has no admin part, so it would always seem to differ.
    unguarded = after.base.model_copy(update={"admin": before.base.admin})
    changes = [str(change) for change in diff(before.base, unguarded)]
    if len(changes) > _CHANGES_SHOWN:
        changes = [*changes[:_CHANGES_SHOWN], f"and {len(changes) - _CHANGES_SHOWN} more"]
    return changes
