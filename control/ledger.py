"""The control plane's memory: a copy of the store, replaced only by what is committed there."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import orjson

from control.change import Change, decision_body, write
from control.collect import Collector
from control.configuration import Active, ConfigurationError, read_stored
from control.counts import ArmKey, loads_counts
from control.deployed import begun
from control.deployments.deployment import Deployment
from control.deployments.strategies import overlay_of
from control.experiments.experiment import Experiment
from control.experiments.experiment import overlay_of as experiment_overlay
from control.overlay import Overlay
from control.publish import Published, Publisher
from control.registry.resolve import places_in
from control.rollout.records import Record
from control.shadows.collect import ShadowCollector
from control.shadows.counts import NOTHING as NO_PAIRS
from control.shadows.counts import ROLES, ShadowKey, ShadowTotals
from control.shadows.gate import ShadowFinding, ShadowGate
from control.shadows.saved import read_shadows
from control.standing import Standing, read_standing
from control.store import rollouts, statistics, tables, undertakings
from control.store.engine import Store
from control.store.rollouts import Quarantine
from control.store.tables import StoredTable
from proxy.compile import RouteState, compile_table

log: Final = logging.getLogger("headgate.control")


class Ledger:
    """What is in force. Whoever reads in order to change holds the lock, calls `fresh`, then `commit`.

    When a commit fails, nobody can know here whether it took place; `fresh` then reads the store again.
    """

    def __init__(self, store: Store, collector: Collector, publisher: Publisher) -> None:
        self.store = store
        self.collector = collector
        self.publisher = publisher
        self.shadows = ShadowCollector()
        self.lock = asyncio.Lock()
        self.active: Active | None = None
        self.records: dict[str, Record] = {}
        """By route, the rollout in charge."""
        self.quarantine: dict[str, Quarantine] = {}
        """By subject, the releases that are condemned."""
        self.deployments: dict[str, Deployment] = {}
        """By route, the deployment that says where its requests go."""
        self.experiments: dict[str, Experiment] = {}
        """By route, the experiment that does."""
        self.table: dict[str, Any] | None = None
        self.revision = 0
        self.decisions: dict[str, int] = {}
        """Decisions by kind, since this process began."""
        self.standing = Standing()
        """What the audit log has told of the beginning of, and not of the end."""
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        """Told of each decision, as the API shows it, once it is written; they must not wait or raise."""
        self._states: dict[str, RouteState] = {}
        self._live: frozenset[str] = frozenset()
        self._stale = True
        self._floor = 0

    @property
    def next_revision(self) -> int:
        """What the next table will be called."""
        return max(self.revision, self._floor) + 1

    @property
    def live_stages(self) -> frozenset[str]:
        """The stages that the table in force counts under."""
        return self._live

    def shadow_keys(self) -> list[ShadowKey]:
        """What the table in force counts as shadows, noise floors included."""
        arms = [] if self.table is None else self.table["arms"]
        return [
            ShadowKey(arm["route"], arm["variant"], arm["role"], arm["stage"])
            for arm in arms
            if arm["role"] in ROLES
        ]

    def shadow_totals(self, route: str, shadow: str) -> dict[str, ShadowTotals]:
        """What a shadow of the table in force has counted, by role: "shadow", and "noise" where measured."""
        return {
            key.role: self.shadows.total(key)
            for key in self.shadow_keys()
            if (key.route, key.shadow) == (route, shadow)
        }

    def shadow_pairs(self, record: Record) -> dict[str, tuple[int, int]]:
        """Pairs compared and disagreed of all shadows of a rollout's canary, by role."""
        if self.active is None:
            return {}
        route = next((each for each in self.active.config.routes if each.name == record.rollout.route), None)
        found: dict[str, tuple[int, int]] = {}
        for shadow in () if route is None else route.shadows:
            if shadow.upstream != record.rollout.canary:
                continue
            for role, totals in self.shadow_totals(record.rollout.route, shadow.label).items():
                compared, disagreed = found.get(role, (0, 0))
                found[role] = (compared + totals.compared, disagreed + totals.disagreed)
        return found

    def shadow_finding(self, record: Record) -> ShadowFinding | None:
        """What the shadow of a rollout's step has shown; None where there is none to judge."""
        plan = record.plan
        gate = plan.step(record.rollout.step).shadow
        if gate is None:
            return None
        return self.gate_finding(
            gate, record.rollout.route, alpha=plan.alpha, alpha_promote=plan.alpha_promote
        )

    def gate_finding(
        self, gate: ShadowGate, route: str, *, alpha: float, alpha_promote: float
    ) -> ShadowFinding | None:
        """What the shadow that a gate asks for has shown on a route; None where the table has none."""
        found = self.shadow_totals(route, gate.shadow)
        if "shadow" not in found:
            return None
        noise = found.get("noise", NO_PAIRS)
        return gate.verdict(found["shadow"], alpha=alpha, alpha_promote=alpha_promote, noise=noise)

    def skip(self, revision: int) -> None:
        """Make every later table newer than *revision*."""
        self._floor = max(self._floor, revision)

    def blocked(self) -> dict[str, Quarantine]:
        """Routes without a rollout whose canary is quarantined."""
        if self.active is None:
            return {}
        return {
            route: self.quarantine[canary.subject]
            for route, canary in self.active.canaries.items()
            if route not in self.records and canary.subject in self.quarantine
        }

    def overlays(self, change: Change | None = None) -> list[Overlay]:
        """What deployments and experiments put over the configuration, once *change* is written."""
        deployments = _current(self.deployments, {} if change is None else change.deployments)
        experiments = _current(self.experiments, {} if change is None else change.experiments)
        # An experiment comes last: it divides what a deployment has brought.
        found = [
            *(overlay_of(each) for each in deployments.values()),
            *(experiment_overlay(each) for each in experiments.values()),
        ]
        return [overlay for overlay in found if overlay is not None]

    def outdated(self) -> bool:
        """Whether the configuration in force would compile to another table than the one in force."""
        if self.active is None:
            return False
        return self._compile(self.active, self._states, self.revision) != self.table

    async def restore_counts(self, now: float) -> None:
        """Give the collector what a former process has written down."""
        async with self.store.write() as connection:
            rows = await statistics.all_counts(connection)
            ended = await statistics.all_ended_boots(connection)
            shadows = await read_shadows(connection)
        self.shadows.restore(shadows)
        self.collector.restore(
            (
                (
                    (row.node, row.boot),
                    ArmKey(row.route, row.variant, row.role, row.stage),
                    loads_counts(row.body),
                )
                for row in rows
            ),
            ended,
            now,
        )

    async def fresh(self) -> None:
        """Read the store if memory may differ from it, and publish the table found there."""
        if not self._stale:
            return
        async with self.store.read() as connection:
            stored = await tables.newest_configuration(connection)
            table = await tables.newest_table(connection)
            rows = await rollouts.current_rollouts(connection)
            condemned = await rollouts.quarantined(connection)
            deployed = await undertakings.current(connection, undertakings.DEPLOYMENTS)
            compared = await undertakings.current(connection, undertakings.EXPERIMENTS)
            self.standing = await read_standing(connection)
        self.deployments = {row.route: Deployment.from_json(orjson.loads(row.document)) for row in deployed}
        self.experiments = {row.route: Experiment.from_json(orjson.loads(row.document)) for row in compared}
        self.records = {row.route: Record.from_stored(row) for row in rows}
        self.quarantine = {row.subject: row for row in condemned}
        self.active = None
        if stored is not None:
            try:
                self.active = read_stored(
                    stored.body,
                    digest=stored.digest,
                    source=stored.source,
                    at=stored.accepted_at,
                    overlays=self.overlays(),
                )
                if table is not None:
                    # What aliases stand for now may be something else; what was published is in force.
                    places = places_in(self.active.unplaced, orjson.loads(table.body))
                    self.active = self.active.with_places(places)
            except ConfigurationError as error:
                log.warning("the stored configuration is not usable (%s); waiting for the agent's", error)
        self._states = _states(self.records, self.active, self.quarantine)
        if table is not None:
            self._serve(orjson.loads(table.body), table)
        self._stale = False

    async def commit(
        self,
        change: Change,
        records: Mapping[str, Record],
        *,
        active: Active | None = None,
        recompile: bool = False,
    ) -> None:
        """Write *change*, take *records* (and *active*) as in force, publish if the routing changed."""
        active = active or self.active
        quarantine = _quarantine_after(self.quarantine, change)
        states = _states(records, active, quarantine)
        table = None
        if active is not None and (recompile or active is not self.active or states != self._states):
            table = self._compile(active, states, self.next_revision)
            change.table = StoredTable(
                revision=table["revision"],
                config_digest=active.digest,
                body=orjson.dumps(table).decode(),
                published_at=change.wall,
            )
            change.begun = begun(self.table, table, active.config)
        if not change.empty:
            self._stale = True
            await write(
                self.store,
                change,
                revision=self.revision if change.table is None else change.table.revision,
                config_digest="" if active is None else active.digest,
            )
            self._stale = False
        self.active, self.records, self.quarantine = active, dict(records), quarantine
        self._states = states
        self.standing = self.standing.after(change.events)
        self.deployments = _current(self.deployments, change.deployments)
        self.experiments = _current(self.experiments, change.experiments)
        for decided in change.decided:
            kind = decided.decision.kind.name.lower()
            self.decisions[kind] = self.decisions.get(kind, 0) + 1
        self._tell(change)
        if change.counts is not None:
            self.collector.saved(change.counts)
        if change.shadows is not None:
            self.shadows.saved(change.shadows)
        if change.table is not None and table is not None:
            self._serve(table, change.table)

    def _tell(self, change: Change) -> None:
        if not self.listeners:
            return
        revision = self.revision if change.table is None else change.table.revision
        digest = "" if self.active is None else self.active.digest
        for decided in change.decided:
            body = decision_body(
                decided,
                at=change.wall,
                revision=revision,
                config_digest=digest,
                actor=decided.decision.actor,
            )
            for listener in self.listeners:
                listener(body)

    def _serve(self, table: dict[str, Any], stored: StoredTable) -> None:
        self.table, self.revision = table, stored.revision
        self._live = frozenset(arm["stage"] for arm in table["arms"])
        self.publisher.publish(Published(revision=stored.revision, payload=stored.body.encode()))

    def _compile(self, active: Active, states: Mapping[str, RouteState], revision: int) -> dict[str, Any]:
        table = compile_table(
            active.config, revision=revision, states=states, digest=active.digest, previous=self.table
        )
        # As it will be read back: a table must compare equal to itself after a restart.
        plain: dict[str, Any] = orjson.loads(orjson.dumps(table))
        return plain


T = TypeVar("T", Deployment, Experiment)


def _current(before: Mapping[str, T], changed: Mapping[str, T]) -> dict[str, T]:
    """By route, those in charge after a change."""
    ids = changed.keys()
    after = {route: each for route, each in before.items() if each.id not in ids}
    return after | {each.route: each for each in changed.values() if each.current}


def _quarantine_after(before: Mapping[str, Quarantine], change: Change) -> dict[str, Quarantine]:
    after = dict(before)
    for row in change.quarantined:
        after.setdefault(row.subject, row)
    for lifted in change.lifted:
        after.pop(lifted.quarantine.subject, None)
    return after


def _states(
    records: Mapping[str, Record], active: Active | None, quarantine: Mapping[str, Quarantine]
) -> dict[str, RouteState]:
    states = {
        route: record.route_state(quarantined=record.subject in quarantine)
        for route, record in records.items()
    }
    if active is None:
        return states
    for route, canary in active.canaries.items():
        row = quarantine.get(canary.subject)
        if route not in states and row is not None:
            # A fixed weight, but of a release that was condemned here.
            states[route] = RouteState(canary_weight=0.0, stage=row.id, rolled_back=True)
    return states
