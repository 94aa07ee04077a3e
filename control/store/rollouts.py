"""Rollouts, the decisions about them, and the releases those decisions condemned."""

from dataclasses import asdict, dataclass

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.schema import decisions, quarantine, rollouts


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRollout:
    """A rollout's row; `document`, `plan` and `evidence` are JSON written by the modules that own them.

    `identity` digests the route and both upstreams, `subject` the canary alone: what a rollback condemns.
    `current` says that this rollout decides its route's weight. `evidence_from` is the first stage whose
    counts are part of `evidence`.
    """

    id: str
    route: str
    identity: str
    subject: str
    current: bool
    state: str
    epoch: int
    stage: str
    release: str
    created_at: float
    updated_at: float
    config_digest: str
    document: str
    plan: str
    evidence: str
    evidence_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision's row; `body` is its whole JSON, with the analysis it was made from."""

    id: str
    rollout_id: str
    route: str
    kind: str
    at: float
    actor: str
    revision: int
    config_digest: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A condemned release, until `lifted_at`; by a rollout's decision, or by a deployment without one."""

    id: str
    subject: str
    route: str
    variant: str
    release: str
    rollout_id: str | None = None
    decision_id: str | None = None
    deployment_id: str | None = None
    reason: str
    since: float
    lifted_at: float | None = None
    lifted_by: str | None = None
    lifted_reason: str | None = None


async def save_rollout(connection: AsyncConnection, rollout: StoredRollout) -> None:
    """Write the row, new or changed."""
    values = asdict(rollout)
    changed = await connection.execute(update(rollouts).where(rollouts.c.id == rollout.id).values(values))
    if changed.rowcount == 0:
        await connection.execute(insert(rollouts).values(values))


async def current_rollouts(connection: AsyncConnection) -> list[StoredRollout]:
    """The rollout in charge of each route that has one."""
    query = select(rollouts).where(rollouts.c.current).order_by(rollouts.c.route)
    return [StoredRollout(**row) for row in (await connection.execute(query)).mappings()]


async def recent_rollouts(connection: AsyncConnection, *, limit: int) -> list[StoredRollout]:
    """The newest rollouts of all routes, newest first."""
    query = select(rollouts).order_by(rollouts.c.id.desc()).limit(limit)
    return [StoredRollout(**row) for row in (await connection.execute(query)).mappings()]


async def find_rollout(connection: AsyncConnection, rollout_id: str) -> StoredRollout | None:
    """The rollout with this id, in charge or not."""
    query = select(rollouts).where(rollouts.c.id == rollout_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else StoredRollout(**row)


async def newest_with_identity(
    connection: AsyncConnection, *, route: str, identity: str
) -> StoredRollout | None:
    """The last rollout of these very upstreams on this route, in charge or not."""
    query = (
        select(rollouts)
        .where(rollouts.c.route == route, rollouts.c.identity == identity)
        .order_by(rollouts.c.id.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else StoredRollout(**row)


async def highest_epoch(connection: AsyncConnection, *, route: str) -> int:
    """The last epoch any rollout of *route* has used; 0 before the first."""
    query = select(func.coalesce(func.max(rollouts.c.epoch), 0)).where(rollouts.c.route == route)
    return int((await connection.execute(query)).scalar_one())


async def latest_time(connection: AsyncConnection) -> float:
    """The latest steady time written down, in seconds; 0 before the first."""
    query = select(func.coalesce(func.max(rollouts.c.updated_at), 0.0))
    return float((await connection.execute(query)).scalar_one())


async def add_decision(connection: AsyncConnection, decision: StoredDecision) -> None:
    """Write a decision; its rollout must be there."""
    await connection.execute(insert(decisions).values(asdict(decision)))


async def find_decision(connection: AsyncConnection, decision_id: str) -> StoredDecision | None:
    """The decision with this id."""
    query = select(decisions).where(decisions.c.id == decision_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else StoredDecision(**row)


async def recent_decisions(
    connection: AsyncConnection, *, limit: int, rollout_id: str | None = None, before: str | None = None
) -> list[StoredDecision]:
    """At most *limit* decisions, newest first, older than the decision *before*."""
    query = select(decisions).order_by(decisions.c.id.desc()).limit(limit)
    if rollout_id is not None:
        query = query.where(decisions.c.rollout_id == rollout_id)
    if before is not None:
        query = query.where(decisions.c.id < before)
    return [StoredDecision(**row) for row in (await connection.execute(query)).mappings()]


async def add_quarantine(connection: AsyncConnection, row: Quarantine) -> bool:
    """Condemn a release; False when it already is."""
    if await find_quarantine(connection, subject=row.subject) is not None:
        return False
    await connection.execute(insert(quarantine).values(asdict(row)))
    return True


async def find_quarantine(connection: AsyncConnection, *, subject: str) -> Quarantine | None:
    """What condemns this release at present, if anything does."""
    query = select(quarantine).where(quarantine.c.subject == subject, quarantine.c.lifted_at.is_(None))
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else Quarantine(**row)


async def quarantined(connection: AsyncConnection) -> list[Quarantine]:
    """Every release that is condemned at present."""
    query = select(quarantine).where(quarantine.c.lifted_at.is_(None)).order_by(quarantine.c.id)
    return [Quarantine(**row) for row in (await connection.execute(query)).mappings()]


async def lift_quarantine(
    connection: AsyncConnection, *, subject: str, at: float, by: str, reason: str
) -> Quarantine | None:
    """Lift what condemns this release; returns the row as it stood, None when nothing did."""
    row = await find_quarantine(connection, subject=subject)
    if row is None:
        return None
    change = update(quarantine).where(quarantine.c.id == row.id)
    await connection.execute(change.values(lifted_at=at, lifted_by=by, lifted_reason=reason))
    return row


async def last_decisions_about(connection: AsyncConnection, labels: list[str]) -> list[StoredDecision]:
    """The newest decision of each rollout whose canary was one of these releases."""
    about = select(rollouts.c.id).where(rollouts.c.release.in_(labels))
    newest = select(func.max(decisions.c.id)).where(decisions.c.rollout_id.in_(about))
    query = select(decisions).where(decisions.c.id.in_(newest.group_by(decisions.c.rollout_id)))
    rows = (await connection.execute(query.order_by(decisions.c.id.desc()).limit(20))).mappings()
    return [StoredDecision(**row) for row in rows]
