"""What time and configuration do to requests that nobody touches: they expire, or need another look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from control.audit.events import AuditEvent
from control.audit.kinds.approvals import ApprovalLapsed
from control.registry.approval import Approval, ApprovalEvent, ApprovalState, unbound
from control.registry.plans import plan_digest, plan_of
from control.registry.release import Release
from control.registry.turn import Turn
from control.store import approvals as store


async def settle_release(turn: Turn, release: Release) -> int:
    """Write down what has become of the open requests about *release*; returns how many have changed."""
    settled = 0
    for approval in await store.approvals_of(turn.connection, release.id):
        after, event = _settled(turn, approval, release)
        if after is not approval:
            await store.save_approval(turn.connection, after)
            settled += 1
        if event is not None:
            turn.events.append(event)
    return settled


def in_force(config: Mapping[str, Any], approval: Approval, release: Release) -> bool:
    """Whether the plan that a request is about is the one by which requests are divided now."""
    return _digest(config, approval, release) == approval.plan_digest


def changes(config: Mapping[str, Any], approval: Approval, release: Release) -> Sequence[str]:
    """What a request was about and is no longer so, in words. A proposed plan need not be in force yet."""
    digest = approval.plan_digest if approval.proposed else _digest(config, approval, release)
    return unbound(approval, release_digest=release.digest, plan_digest=digest)


def approval_view(
    approval: Approval, release: Release, config: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """A request as people see it: what has changed since counts before it is written down."""
    changed = changes(config, approval, release) if approval.open else []
    if changed and approval.state in (ApprovalState.PENDING, ApprovalState.APPROVED):
        approval = approval.after(
            ApprovalEvent.CHANGE, now=now, by="", reason=f"{' and '.join(changed)} changed"
        )
    return approval.to_json() | {"release": release.label, "version": release.version}


def _settled(turn: Turn, approval: Approval, release: Release) -> tuple[Approval, AuditEvent | None]:
    if not approval.open:
        return approval, None
    after = approval.at(turn.at)
    changed = changes(turn.rules.config, approval, release) if after is approval else []
    if changed and approval.state is not ApprovalState.REQUIRES_REVIEW:
        after = approval.after(
            ApprovalEvent.CHANGE, now=turn.at, by="", reason=f"{' and '.join(changed)} changed"
        )
    if after is approval:
        if approval.proposed and in_force(turn.rules.config, approval, release):
            # From here on it is like any other: whatever changes now has to be looked at again.
            return replace(approval, proposed=False), None
        return approval, None
    lapsed = ApprovalLapsed(
        resource_id=approval.id, subject=release.label, state=after.state.word, reason=after.reason
    )
    return after, lapsed


def _digest(config: Mapping[str, Any], approval: Approval, release: Release) -> str:
    return plan_digest(plan_of(config, release.name, approval.stage))
