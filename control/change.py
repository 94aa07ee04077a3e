"""Everything one operation changes, written in one transaction: all of it is there afterwards, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from config.upstreams import Upstream
from control.audit.canonical import canonical
from control.audit.events import DECIDED, AuditEvent, Origin, QuarantineLifted, ReleaseQuarantined
from control.audit.kinds.models import ModelRolledBack
from control.collect import Unsaved
from control.deployed import Begun, deployed_events
from control.deployments.deployment import Deployment
from control.experiments.experiment import Experiment
from control.ids import new_id
from control.judgement.needs import needs
from control.plans.describe import describe_plan, describe_steps
from control.rollout.identity import subject_of
from control.rollout.machine import Decision, DecisionKind
from control.rollout.records import Record
from control.shadows.collect import UnsavedShadows
from control.shadows.saved import write_shadows
from control.store import audit, releases, rollouts, statistics, tables, undertakings
from control.store.engine import Connection, Store
from control.store.rollouts import Quarantine, StoredDecision
from control.store.statistics import StoredCounts
from control.store.tables import StoredTable
from control.store.undertakings import Undertaking


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConfiguration:
    """A configuration that comes into force; `body` is its JSON."""

    digest: str
    source: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision with the identifier it is stored under and the record it leaves behind."""

    id: str
    decision: Decision
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A quarantine that a person lifts, and why."""

    quarantine: Quarantine
    reason: str


@dataclass(slots=True, kw_only=True)
class Change:
    """Collects what one operation changes. `wall` and `steady` are the operation's two times.

    `origin` is who asked for the operation; a decision may name another actor, the control loop itself.
    """

    origin: Origin
    wall: float
    steady: float
    configuration: NewConfiguration | None = None
    records: dict[str, Record] = field(default_factory=dict)
    decided: list[Decided] = field(default_factory=list)
    quarantined: list[Quarantine] = field(default_factory=list)
    lifted: list[Lifted] = field(default_factory=list)
    events: list[AuditEvent] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    """Releases that take requests from now on."""
    deployments: dict[str, Deployment] = field(default_factory=dict)
    """By id, those that are written."""
    experiments: dict[str, Experiment] = field(default_factory=dict)
    table: StoredTable | None = None
    counts: Unsaved | None = None
    shadows: UnsavedShadows | None = None
    registry_revision: int | None = None
    """What of the registry this was worked out from; the change is void when that has moved on."""

    def keep(self, record: Record) -> None:
        """Write *record*; a later one with the same id takes its place."""
        self.records[record.rollout.id] = record

    def decide(self, decision: Decision, record: Record) -> Decided:
        """Write *decision* and the *record* it leaves behind; a rollback also condemns the release."""
        decided = Decided(id=new_id("d"), decision=decision, record=record)
        self.decided.append(decided)
        self.keep(record)
        if decision.kind is DecisionKind.ROLLED_BACK:
            self.quarantined.append(
                Quarantine(
                    id=new_id("q"),
                    subject=record.subject,
                    route=decision.route,
                    variant=record.rollout.canary,
                    release=record.release,
                    rollout_id=record.rollout.id,
                    decision_id=decided.id,
                    reason=decision.reason,
                    since=self.wall,
                )
            )
        return decided

    def condemn(self, deployment: Deployment, reason: str) -> None:
        """Condemn the release of a deployment that has no rollout to do so."""
        section = deployment.upstreams[deployment.target]
        self.quarantined.append(
            Quarantine(
                id=new_id("q"),
                subject=subject_of(deployment.route, deployment.target, Upstream.model_validate(section)),
                route=deployment.route,
                variant=deployment.target,
                release=deployment.release,
                deployment_id=deployment.id,
                reason=reason,
                since=self.wall,
            )
        )
        if deployment.release:
            self.events.append(
                _release_taken_back(deployment.release, deployment.route, deployment.baseline, reason)
            )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.configuration
            or self.records
            or self.lifted
            or self.events
            or self.deployments
            or self.experiments
            or self.table
            or (self.counts is not None and not self.counts.empty)
            or (self.shadows is not None and not self.shadows.empty)
        )


async def write(store: Store, change: Change, *, revision: int, config_digest: str) -> None:
    """Write *change*; *revision* is that of the table in force afterwards."""
    async with store.write() as connection:
        if change.registry_revision is not None:
            # Locked until the end: an approval withdrawn meanwhile must not be overtaken by what it allowed.
            await releases.check_revision(connection, change.registry_revision)
        if change.configuration is not None:
            new = change.configuration
            await tables.add_configuration(
                connection, digest=new.digest, source=new.source, body=new.body, at=change.wall
            )
        # A route has one current rollout: the one that goes makes room first.
        for record in sorted(change.records.values(), key=lambda record: record.current):
            await rollouts.save_rollout(connection, record.stored(change.steady))
        for decided in change.decided:
            await rollouts.add_decision(
                connection, _stored(decided, change, revision=revision, config_digest=config_digest)
            )
        events = [*change.events, *(_event(decided, revision) for decided in change.decided)]
        events += [_taken_back(decided) for decided in change.decided if _of_release(decided)]
        for row in change.quarantined:
            if await rollouts.add_quarantine(connection, row):
                events.append(_quarantined(row))
        for lifted in change.lifted:
            await rollouts.lift_quarantine(
                connection,
                subject=lifted.quarantine.subject,
                at=change.wall,
                by=change.origin.actor,
                reason=lifted.reason,
            )
            events.append(_lifted(lifted))
        events += await deployed_events(store, connection, change.begun)
        await _write_undertakings(connection, change)
        if change.table is not None:
            await tables.add_table(connection, change.table)
        if change.counts is not None:
            await _write_counts(connection, change.counts, change.wall)
        if change.shadows is not None:
            await write_shadows(connection, change.shadows, change.wall)
        await audit.append(
            connection, events, origin=change.origin, at=change.wall, config_digest=config_digest
        )


def decision_body(
    decided: Decided, *, at: float, revision: int, config_digest: str, actor: str
) -> dict[str, object]:
    """A decision as the API shows it for ever: what was decided, and everything it was made from."""
    decision, record = decided.decision, decided.record
    return decision.to_json() | {
        "id": decided.id,
        "at": at,
        "actor": actor,
        "stable": record.rollout.stable,
        "canary": record.rollout.canary,
        "release": record.release,
        "identity": record.identity,
        "stage": record.stage,
        "epoch": record.rollout.epoch,
        "revision": revision,
        "config_digest": config_digest,
        "plan": describe_plan(record.plan) | {"steps": describe_steps(record.plan)},
        "plan_source": dict(record.plan.source),
        # What the analysis was computed from, so that it can be computed again.
        "evidence": None if decision.analysis is None else record.evidence.to_json(),
        "needs": _needs(decision),
    }


def _stored(decided: Decided, change: Change, *, revision: int, config_digest: str) -> StoredDecision:
    body = decision_body(
        decided,
        at=change.wall,
        revision=revision,
        config_digest=config_digest,
        actor=decided.decision.actor,
    )
    return StoredDecision(
        id=decided.id,
        rollout_id=decided.record.rollout.id,
        route=decided.decision.route,
        kind=decided.decision.kind.name.lower(),
        at=change.wall,
        actor=decided.decision.actor,
        revision=revision,
        config_digest=config_digest,
        body=canonical(body).decode(),
    )


def _event(decided: Decided, revision: int) -> AuditEvent:
    decision = decided.decision
    return DECIDED[decision.kind.name.lower()](
        resource_id=decision.rollout,
        route=decision.route,
        decision=decided.id,
        reason=decision.reason,
        from_step=decision.from_step,
        to_step=decision.to_step,
        from_weight=decision.from_weight,
        to_weight=decision.to_weight,
        revision=revision,
        needs=_needs(decision),
    )


def _of_release(decided: Decided) -> bool:
    """Whether a rollback took a release out that has a name."""
    return decided.decision.kind is DecisionKind.ROLLED_BACK and bool(decided.record.release)


def _taken_back(decided: Decided) -> AuditEvent:
    decision, record = decided.decision, decided.record
    return _release_taken_back(record.release, decision.route, record.rollout.stable, decision.reason)


def _release_taken_back(release: str, route: str, replaced_by: str, reason: str) -> AuditEvent:
    model, _, version = release.partition(":")
    return ModelRolledBack(
        resource_id=release,
        model=model,
        version=version,
        route=route,
        replaced_by=replaced_by,
        reason=reason,
    )


def _needs(decision: Decision) -> list[dict[str, object]]:
    return [] if decision.analysis is None else [need.to_json() for need in needs(decision.analysis)]


def _quarantined(row: Quarantine) -> AuditEvent:
    return ReleaseQuarantined(
        resource_id=row.subject,
        route=row.route,
        variant=row.variant,
        release=row.release,
        rollout=row.rollout_id or "",
        decision=row.decision_id or "",
        deployment=row.deployment_id or "",
        reason=row.reason,
    )


def _lifted(lifted: Lifted) -> AuditEvent:
    row = lifted.quarantine
    return QuarantineLifted(
        resource_id=row.subject,
        route=row.route,
        variant=row.variant,
        release=row.release,
        rollout=row.rollout_id or "",
        deployment=row.deployment_id or "",
        reason=lifted.reason,
    )


_Undertaken = TypeVar("_Undertaken", Deployment, Experiment)


async def _write_undertakings(connection: Connection, change: Change) -> None:
    await _save(connection, undertakings.DEPLOYMENTS, change.deployments, change.wall)
    await _save(connection, undertakings.EXPERIMENTS, change.experiments, change.wall)


async def _save(
    connection: Connection,
    kind: undertakings.Kind,
    changed: Mapping[str, _Undertaken],
    at: float,
) -> None:
    # A route has one in charge: the one that goes makes room first.
    for each in sorted(changed.values(), key=lambda each: each.current):
        row = Undertaking(
            id=each.id,
            route=each.route,
            status=each.status.name.lower(),
            label=str(getattr(each, kind.label)),
            current=each.current,
            updated_at=at,
            document=canonical(each.to_json()).decode(),
        )
        await undertakings.save(connection, kind, row)


async def _write_counts(connection: Connection, unsaved: Unsaved, wall: float) -> None:
    await statistics.forget_arms(connection, unsaved.forgotten)
    for node, boot in unsaved.ended:
        await statistics.end_boot(connection, node=node, boot=boot, at=wall)
    rows = (
        StoredCounts(node=boot[0], boot=boot[1], **key._asdict(), updated_at=wall, body=counts.dumps())
        for (boot, key), counts in unsaved.counts.items()
    )
    await statistics.save_counts(connection, rows)
