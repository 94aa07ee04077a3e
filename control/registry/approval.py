"""A request to let a release into a stage: its states, who may vote, what the votes come to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

from control.errors import ForbiddenError, TransitionError
from control.registry.release import rfc3339


class ApprovalState(IntEnum):
    """Where a request stands."""

    PENDING = 0
    APPROVED = 1
    REJECTED = 2
    REQUIRES_REVIEW = 3
    EXPIRED = 4

    @property
    def word(self) -> str:
        return self.name.lower()


class ApprovalEvent(IntEnum):
    """What happens to a request."""

    QUORUM = 0
    REJECTION = 1
    CHANGE = 2
    RENEWAL = 3
    TIME = 4


_S, _E = ApprovalState, ApprovalEvent
TRANSITIONS: Final[Mapping[ApprovalState, Mapping[ApprovalEvent, ApprovalState]]] = {
    _S.PENDING: {
        _E.QUORUM: _S.APPROVED,
        _E.REJECTION: _S.REJECTED,
        _E.CHANGE: _S.REQUIRES_REVIEW,
        _E.TIME: _S.EXPIRED,
    },
    # What was granted can still be objected to until it is used.
    _S.APPROVED: {_E.REJECTION: _S.REJECTED, _E.CHANGE: _S.REQUIRES_REVIEW, _E.TIME: _S.EXPIRED},
    _S.REQUIRES_REVIEW: {_E.RENEWAL: _S.PENDING, _E.REJECTION: _S.REJECTED, _E.TIME: _S.EXPIRED},
    _S.REJECTED: {},
    _S.EXPIRED: {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one reviewer said in one round."""

    reviewer: str
    approves: bool
    reason: str
    at: float
    round: int

    def to_json(self) -> dict[str, Any]:
        return {
            "reviewer": self.reviewer,
            "vote": "approve" if self.approves else "reject",
            "reason": self.reason,
            "at": rfc3339(self.at),
            "round": self.round,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """One message below a request; `reply_to` is the id of the one it answers."""

    id: str
    approval_id: str
    reply_to: str | None
    author: str
    text: str
    at: float

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "reply_to": self.reply_to,
            "author": self.author,
            "text": self.text,
            "at": rfc3339(self.at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A request as it is kept; times in Unix seconds, `lasts` in seconds.

    Bound to `release_digest` (artifact and configuration) and `plan_digest` (how it will be rolled out).
    `round` grows with each renewal; only votes of the present round count. `proposed` until its plan, which
    came from a configuration yet to be tried, has been seen in force.
    """

    id: str
    release_id: str
    name: str
    stage: str
    state: ApprovalState
    open: bool
    round: int
    quorum: int
    reviewers: tuple[str, ...]
    release_digest: str
    plan_digest: str
    plan: Mapping[str, Any]
    justification: str
    requested_by: str
    requested_at: float
    lasts: float
    expires_at: float
    closed_at: float | None
    closed_by: str
    reason: str
    applied_at: float | None
    proposed: bool = False
    votes: tuple[Vote, ...] = ()

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who has approved in the present round."""
        return tuple(vote.reviewer for vote in self.votes if vote.approves and vote.round == self.round)

    def at(self, now: float) -> Approval:
        """The request as time leaves it: what nobody has closed expires."""
        if self.open and now >= self.expires_at:
            return self.after(ApprovalEvent.TIME, now=now, by="", reason="nobody closed it in time")
        return self

    def after(self, event: ApprovalEvent, *, now: float, by: str, reason: str = "") -> Approval:
        """The request after *event*.

        Raises:
            TransitionError: its state does not allow that.
        """
        state = TRANSITIONS[self.state].get(event)
        if state is None:
            remedy = "headgate approvals show " + self.id if self.open else "ask for another one"
            raise TransitionError(f"approval {self.id} is {self.state.word.replace('_', ' ')}", remedy)
        final = not TRANSITIONS[state]
        closed = final or state is ApprovalState.APPROVED
        return replace(
            self,
            state=state,
            open=not final,
            closed_at=now if closed else None,
            closed_by=by if closed else "",
            reason=reason if closed or state is ApprovalState.REQUIRES_REVIEW else self.reason,
        )

    def missing(self) -> str:
        """What is still needed, and of whom."""
        if self.state is ApprovalState.APPROVED:
            return ""
        if self.state is not ApprovalState.PENDING:
            return f"request {self.id} is {self.state.word.replace('_', ' ')}"
        have = self.approvers
        waiting = [name for name in self.reviewers if name not in have and name != self.requested_by]
        who = (
            ", ".join(waiting)
            if waiting
            else "any approver but " + ", ".join({self.requested_by: 0, **dict.fromkeys(have)})
        )
        return f"{len(have)} of {self.quorum} approvals; it waits for {who}"

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "model": self.name,
            "stage": self.stage,
            "status": self.state.word,
            "round": self.round,
            "quorum": self.quorum,
            "reviewers": list(self.reviewers),
            "approved_by": list(self.approvers),
            "missing": self.missing(),
            "release_digest": self.release_digest,
            "plan_digest": self.plan_digest,
            "plan": dict(self.plan),
            "plan_proposed": self.proposed,
            "justification": self.justification,
            "requested_by": self.requested_by,
            "requested_at": rfc3339(self.requested_at),
            "expires_at": rfc3339(self.expires_at),
            "closed_at": None if self.closed_at is None else rfc3339(self.closed_at),
            "closed_by": self.closed_by or None,
            "reason": self.reason,
            "applied_at": None if self.applied_at is None else rfc3339(self.applied_at),
            "votes": [vote.to_json() for vote in self.votes],
        }


def check_voter(approval: Approval, reviewer: str) -> None:
    """Refuse who may not vote, or has voted.

    Raises:
        ForbiddenError: it is the requester, or somebody who is not asked.
        TransitionError: the vote is in already, or the request takes none.
    """
    if approval.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
        remedy = "renew it" if approval.state is ApprovalState.REQUIRES_REVIEW else "ask for another one"
        raise TransitionError(f"approval {approval.id} is {approval.state.word.replace('_', ' ')}", remedy)
    if reviewer == approval.requested_by:
        raise ForbiddenError(f"{reviewer} asked for it and cannot decide it", "let somebody else review it")
    if approval.reviewers and reviewer not in approval.reviewers:
        raise ForbiddenError(
            f"{reviewer} is no reviewer of {approval.id}", f"ask {', '.join(approval.reviewers)}"
        )


def with_vote(approval: Approval, vote: Vote) -> Approval:
    """The request after *vote*: rejected by the first objection, approved at the quorum.

    Raises:
        ForbiddenError, TransitionError: as `check_voter`; also when the same person approves twice.
    """
    check_voter(approval, vote.reviewer)
    if vote.approves:
        if approval.state is ApprovalState.APPROVED:
            raise TransitionError(f"approval {approval.id} is approved", "promote the release")
        if vote.reviewer in approval.approvers:
            raise TransitionError(
                f"{vote.reviewer} has approved {approval.id}", "let somebody else review it"
            )
    voted = replace(approval, votes=(*approval.votes, vote))
    if not vote.approves:
        return voted.after(ApprovalEvent.REJECTION, now=vote.at, by=vote.reviewer, reason=vote.reason)
    if len(voted.approvers) >= voted.quorum:
        return voted.after(ApprovalEvent.QUORUM, now=vote.at, by=vote.reviewer, reason=vote.reason)
    return voted


def unbound(approval: Approval, *, release_digest: str, plan_digest: str) -> Sequence[str]:
    """What has changed since it was asked for; nothing when it is still about the same."""
    changed = []
    if approval.release_digest != release_digest:
        changed.append("the artifact or its configuration")
    if approval.plan_digest != plan_digest:
        changed.append("the rollout plan")
    return changed
