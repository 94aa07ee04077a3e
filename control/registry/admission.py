"""Whether a release may go where requests would reach it: approved, in the stage already, or by force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from control.registry.approval import Approval, ApprovalState, unbound
from control.registry.plans import plan_digest, plan_of
from control.registry.release import Release
from control.registry.turn import Rules
from control.store import approvals as store
from control.store import releases
from control.store.engine import Connection

# Commands that bind a request to a plan.
_BINDING: Final = ("headgate approvals request", "headgate approvals renew")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The answer: `problem` is empty when it may; `approval` is the request that allows it, if one does."""

    problem: str = ""
    remedy: str = ""
    approval: Approval | None = None


async def permission(
    connection: Connection, rules: Rules, release: Release, stage: str, *, now: float, proposed: bool = False
) -> Admission:
    """Whether *release* may enter *stage* now, looked up in the caller's transaction.

    *proposed* when the configuration of *rules* has yet to come into force.
    """
    if rules.policy.stages.get(stage) is None or rules.policy.stages[stage].approval is None:
        return Admission()
    for row in await store.broken_glass(connection, release_id=release.id, stage=stage):
        if row.valid:
            return Admission()
    asked = [each.at(now) for each in await store.approvals_of(connection, release.id, stage)]
    digest = plan_digest(plan_of(rules.config, release.name, stage))
    for approval in asked:
        changed = unbound(approval, release_digest=release.digest, plan_digest=digest)
        if approval.state is ApprovalState.APPROVED and approval.open and not changed:
            return Admission(approval=approval)
    problem, remedy = _missing(asked[0] if asked else None, rules, release, stage, digest)
    if proposed and remedy.startswith(_BINDING):
        remedy += " --config FILE, with this configuration"
    return Admission(problem=problem, remedy=remedy)


async def serving(
    connection: Connection, rules: Rules, release: Release, stage: str, *, now: float, proposed: bool = False
) -> Admission:
    """Whether *release* may get requests of a route that is protected for *stage*."""
    if release.stage == stage:
        return Admission()
    # Going back must never wait for anybody.
    holder = await releases.holder(connection, name=release.name, stage=stage)
    if holder.previous_id == release.id:
        return Admission()
    return await permission(connection, rules, release, stage, now=now, proposed=proposed)


def _missing(
    approval: Approval | None, rules: Rules, release: Release, stage: str, digest: str
) -> tuple[str, str]:
    said = f"{release.label} is not approved for {stage}"
    if approval is None:
        wanted = rules.policy.stages[stage].approval
        assert wanted is not None
        who = ", ".join(wanted.reviewers) if wanted.reviewers else "any approver"
        return (
            f"{said}: nobody has asked; it takes {wanted.quorum} of: {who}",
            f"headgate approvals request {release.label} --stage {stage}",
        )
    changed = unbound(approval, release_digest=release.digest, plan_digest=digest)
    if approval.state is ApprovalState.APPROVED and changed:
        return (
            f"{said}: {' and '.join(changed)} changed since {approval.id} was granted",
            f"headgate approvals renew {approval.id}",
        )
    if approval.state is ApprovalState.APPROVED:
        return (
            f"{said}: {approval.id} was used already",
            f"headgate approvals request {release.label} --stage {stage}",
        )
    remedy = f"headgate approvals show {approval.id}"
    if approval.state in (ApprovalState.REJECTED, ApprovalState.EXPIRED):
        remedy = f"headgate approvals request {release.label} --stage {stage}"
    return f"{said}: {approval.missing()}", remedy
