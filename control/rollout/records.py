"""A rollout with everything that belongs to it, as it is kept in memory and as it is stored."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import orjson

from control.ids import new_id
from control.judgement.analysis import Analysis, Evidence
from control.plans.plan import RolloutPlan
from control.rollout.identity import CanaryRoute
from control.rollout.machine import Rollout, State, weight
from control.store.rollouts import StoredRollout
from proxy.compile import RouteState

log: Final = logging.getLogger("headgate.control")

_SHORT: Final = 8


class Stage(NamedTuple):
    """A stretch of a rollout during which the weights stay; counts of different stages are never compared."""

    rollout: str
    step: int
    number: int

    def __str__(self) -> str:
        return f"{self.rollout}:{self.step}:{self.number}"


def parse_stage(name: str) -> Stage:
    """The stage of this name; one without a rollout for the names that static routes use."""
    rollout, _, numbers = name.partition(":")
    step, _, number = numbers.partition(":")
    if not step.isdigit() or not number.isdigit():
        return Stage("", 0, 0)
    return Stage(rollout, int(step), int(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A rollout that decides, or decided, the canary weight of its route.

    `evidence_from` is the first stage whose counts are part of the evidence, `control` the role the canary is
    compared with: ``control``, or ``stable`` where the split cuts no slice of its own. `analysis` is the last
    one made in this process; it is not stored, as the evidence gives it again.
    """

    rollout: Rollout
    plan: RolloutPlan
    evidence: Evidence
    evidence_from: int
    identity: str
    subject: str
    release: str
    config_digest: str
    control: str
    current: bool = True
    analysis: Analysis | None = None

    @property
    def stage(self) -> str:
        """Names the current stage in tables and statistics."""
        rollout = self.rollout
        # The random end of the identifier: the front is alike in all that were made on one day.
        return str(Stage(rollout.id[-_SHORT:], rollout.step, rollout.stage))

    @property
    def weight(self) -> float:
        """The share of requests the canary should have."""
        return weight(self.rollout, self.plan)

    @property
    def judged(self) -> bool:
        """Whether its canary has requests that guardrails watch."""
        return self.rollout.state in (State.PROGRESSING, State.PAUSED)

    def watched(self, now: float) -> bool:
        """Whether it was promoted so lately, at *now* (steady seconds), that its canary is still watched."""
        rollout, after = self.rollout, self.plan.after_promotion
        return (
            rollout.state is State.PROMOTED
            and not rollout.held
            and rollout.finished_at is not None
            and now - rollout.finished_at < after.duration_s
        )

    def route_state(self, *, quarantined: bool) -> RouteState:
        """What a routing table needs to know; a quarantined release gets nothing, whatever its state."""
        return RouteState(
            canary_weight=0.0 if quarantined else self.weight,
            stage=self.stage,
            epoch=self.rollout.epoch,
            rolled_back=quarantined or self.rollout.state is State.ROLLED_BACK,
        )

    def stored(self, now: float) -> StoredRollout:
        """The row, changed at *now* (steady seconds)."""
        return StoredRollout(
            id=self.rollout.id,
            route=self.rollout.route,
            identity=self.identity,
            subject=self.subject,
            release=self.release,
            current=self.current,
            state=self.rollout.state.name.lower(),
            epoch=self.rollout.epoch,
            stage=self.stage,
            created_at=self.rollout.created_at,
            updated_at=now,
            config_digest=self.config_digest,
            document=orjson.dumps(self.rollout.to_json()).decode(),
            plan=orjson.dumps(
                {"source": dict(self.plan.source), "sticky": self.plan.sticky, "control": self.control}
            ).decode(),
            evidence=orjson.dumps(self.evidence.to_json()).decode(),
            evidence_from=self.evidence_from,
        )

    @classmethod
    def from_stored(cls, row: StoredRollout) -> Self:
        """The record of a row.

        Raises:
            ValueError, KeyError, TypeError: it was written in a way this version cannot read.
        """
        plan = orjson.loads(row.plan)
        return cls(
            rollout=Rollout.from_json(orjson.loads(row.document)),
            plan=RolloutPlan.from_config(plan["source"], sticky=plan["sticky"]),
            evidence=_evidence(row),
            evidence_from=row.evidence_from,
            identity=row.identity,
            subject=row.subject,
            release=row.release,
            config_digest=row.config_digest,
            control=plan["control"],
            current=row.current,
        )


def new_record(
    canary: CanaryRoute, plan: RolloutPlan, *, epoch: int, config_digest: str, now: float
) -> Record:
    """A rollout that has not begun."""
    return Record(
        rollout=Rollout(
            id=new_id("r"),
            route=canary.route.name,
            stable=canary.stable,
            canary=canary.canary,
            epoch=epoch,
            created_at=now,
        ),
        plan=plan,
        evidence=Evidence.empty(),
        evidence_from=0,
        identity=canary.identity,
        subject=canary.subject,
        release=canary.release,
        config_digest=config_digest,
        control=canary.control,
    )


def successor(record: Record, now: float) -> Record:
    """A new attempt at what *record* was about: nothing begun, no evidence, every assignment made anew."""
    old = record.rollout
    return replace(
        record,
        rollout=Rollout(
            id=new_id("r"),
            route=old.route,
            stable=old.stable,
            canary=old.canary,
            epoch=old.epoch + 1,
            created_at=now,
        ),
        evidence=Evidence.empty(),
        evidence_from=0,
        current=True,
        analysis=None,
    )


def _evidence(row: StoredRollout) -> Evidence:
    try:
        return Evidence.from_json(orjson.loads(row.evidence))
    except (ValueError, KeyError, TypeError):
        # The counts are still there, so it is gathered again; only what was proved so far is lost.
        log.warning("rollout %s: its evidence was stored by another version and begins anew", row.id)
        return Evidence.empty()
