"""Approvals: ask, vote, comment, renew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from control.audit.canonical import digest
from control.audit.events import AuditEvent, Origin
from control.audit.kinds.approvals import ApprovalGranted, ApprovalRejected, ApprovalRequested
from control.audit.kinds.reviews import ApprovalCommented
from control.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, TransitionError
from control.ids import new_id
from control.registry.approval import (
    Approval,
    ApprovalEvent,
    ApprovalState,
    Comment,
    Vote,
    with_vote,
)
from control.registry.draft import check_text
from control.registry.plans import check_plan, plan_digest, plan_of
from control.registry.registry import find
from control.registry.release import Release
from control.registry.settling import approval_view, changes, in_force, settle_release
from control.registry.turn import Desk, Turn
from control.store import approvals as store
from control.store import releases

_JUSTIFICATION_MAX = 10_000
_COMMENT_MAX = 10_000


class Approvals:
    """Requests to let a release into a stage. Who asks never decides; an objection closes it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def request(
        self,
        reference: str,
        stage: str,
        origin: Origin,
        *,
        justification: str,
        reviewers: Sequence[str] = (),
        quorum: int | None = None,
        plan: Mapping[str, Any] | None = None,
    ) -> Approval:
        """Ask for a release to be let into *stage*, by the plan in force or by a *plan* that shall be.

        Reviewers and quorum may be stricter than the stage asks for, never weaker.

        Raises:
            InvalidError: the stage needs no approval, what is asked for is weaker than it demands, or *plan*
                is none.
            ConflictError: there is an open request already.
        """
        justification = check_text("justification", justification, longest=_JUSTIFICATION_MAX, required=True)

        async def work(turn: Turn) -> Approval:
            release = await find(self._desk, turn.connection, reference)
            wanted, named = _demand(turn, stage, reviewers, quorum)
            if release.stage == stage:
                raise TransitionError(f"{release.label} is in {stage} already", "there is nothing to approve")
            await settle_release(turn, release)
            for other in await store.approvals_of(turn.connection, release.id, stage):
                if other.open:
                    word = other.state.word.replace("_", " ")
                    raise ConflictError(
                        f"{other.id} asks for {release.label} in {stage} already and is {word}",
                        f"headgate approvals {'renew' if 'review' in word else 'show'} {other.id}",
                    )
            about = _about(turn, release, stage, plan)
            approval = Approval(
                id=new_id("p"),
                release_id=release.id,
                name=release.name,
                stage=stage,
                state=ApprovalState.PENDING,
                open=True,
                round=1,
                quorum=wanted,
                reviewers=named,
                justification=justification,
                requested_by=turn.origin.actor,
                requested_at=turn.at,
                lasts=_lasts(turn, stage),
                expires_at=turn.at + _lasts(turn, stage),
                closed_at=None,
                closed_by="",
                reason="",
                applied_at=None,
                **about,
            )
            await store.save_approval(turn.connection, approval)
            turn.events.append(_requested(approval, release))
            return approval

        return await self._desk.write(origin, work)

    async def vote(self, approval_id: str, origin: Origin, *, approves: bool, reason: str = "") -> Approval:
        """Approve or reject; rejecting takes a reason.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: it is the one who asked, or nobody who was asked.
            TransitionError: the request takes no vote, or has this one.
        """
        reason = check_text("reason", reason, longest=1000, required=not approves)

        async def work(turn: Turn) -> tuple[Approval, Refusal]:
            approval, release = await self._current(turn, approval_id)
            if approval.state is ApprovalState.REQUIRES_REVIEW and approves:
                # The demotion is written, and the vote refused: both must be seen.
                return approval, Refusal(
                    TransitionError(
                        f"approval {approval.id} requires review: {approval.reason}",
                        f"headgate approvals renew {approval.id}",
                    )
                )
            vote = Vote(
                reviewer=turn.origin.actor, approves=approves, reason=reason, at=turn.at, round=approval.round
            )
            try:
                after = with_vote(approval, vote)
            except (TransitionError, ForbiddenError) as error:
                return approval, Refusal(error)
            await store.add_vote(turn.connection, approval.id, vote)
            await store.save_approval(turn.connection, after)
            turn.events.append(_voted(after, release, reason))
            return after, Refusal(None)

        after, refused = await self._desk.write(origin, work)
        if refused.error is not None:
            raise refused.error
        return after

    async def renew(
        self,
        approval_id: str,
        origin: Origin,
        *,
        justification: str = "",
        plan: Mapping[str, Any] | None = None,
    ) -> Approval:
        """Ask again for what has changed since: a new round, bound to what there is now, or to *plan*.

        Raises:
            NotFoundError: there is no such request.
            TransitionError: it does not require review.
        """
        justification = check_text("justification", justification, longest=_JUSTIFICATION_MAX)

        async def work(turn: Turn) -> Approval:
            approval, release = await self._current(turn, approval_id)
            if plan is not None or approval.proposed:
                # Another plan is a change like any other, whoever makes it.
                approval = _changed(approval, turn)
            renewed = replace(
                approval.after(ApprovalEvent.RENEWAL, now=turn.at, by=turn.origin.actor),
                round=approval.round + 1,
                **_about(turn, release, approval.stage, plan),
                # Whoever renews it asks for it.
                requested_by=turn.origin.actor,
                requested_at=turn.at,
                justification=justification or approval.justification,
                expires_at=turn.at + approval.lasts,
                reason="",
            )
            await store.save_approval(turn.connection, renewed)
            turn.events.append(_requested(renewed, release))
            return renewed

        return await self._desk.write(origin, work)

    async def comment(
        self, approval_id: str, origin: Origin, text: str, *, reply_to: str | None = None
    ) -> Comment:
        """Say something about a request, or answer what was said.

        Raises:
            NotFoundError: there is no such request, or no such comment below it.
        """
        text = check_text("text", text, longest=_COMMENT_MAX, required=True)

        async def work(turn: Turn) -> Comment:
            approval = await store.find_approval(turn.connection, approval_id)
            if approval is None:
                raise _unknown(approval_id)
            known = {each.id for each in await store.comments(turn.connection, approval_id)}
            if reply_to is not None and reply_to not in known:
                raise NotFoundError(
                    f"there is no comment {reply_to!r} on {approval_id}", "answer one of its own"
                )
            comment = Comment(
                id=new_id("c"),
                approval_id=approval_id,
                reply_to=reply_to,
                author=turn.origin.actor,
                text=text,
                at=turn.at,
            )
            await store.add_comment(turn.connection, comment)
            turn.events.append(
                ApprovalCommented(resource_id=approval_id, comment=comment.id, reply_to=reply_to or "")
            )
            return comment

        return await self._desk.write(origin, work)

    async def get(self, approval_id: str) -> dict[str, Any]:
        """A request with its release, votes and comments.

        Raises:
            NotFoundError: there is no such request.
        """
        async with self._desk.store.read() as connection:
            approval = await store.find_approval(connection, approval_id)
            if approval is None:
                raise _unknown(approval_id)
            view = await self._views(connection, [approval])
            said = await store.comments(connection, approval_id)
        return view[0] | {"comments": [comment.to_json() for comment in said]}

    async def page(
        self,
        *,
        limit: int = 50,
        before: str | None = None,
        state: ApprovalState | None = None,
        name: str | None = None,
    ) -> list[dict[str, Any]]:
        """Requests, newest first."""
        async with self._desk.store.read() as connection:
            found = await store.page(connection, limit=limit, before=before, state=state, name=name)
            views = await self._views(connection, found)
        # One that time has closed is listed as such before anybody has written it down.
        return [view for view in views if state is None or view["status"] == state.word]

    async def waiting(self, *, limit: int) -> list[dict[str, Any]]:
        """Requests that nobody and nothing has closed, newest first: asked for, granted, or to be renewed."""
        async with self._desk.store.read() as connection:
            found = await store.newest_open_approvals(connection, now=self._desk.now(), limit=limit)
            return await self._views(connection, found)

    async def settle(self, origin: Origin) -> int:
        """Write down what time and configuration have done to requests; returns how many have changed."""
        async with self._desk.store.read() as connection:
            rules = await self._desk.rules(connection)
            open_ones = await store.open_approvals(connection)
            known = await releases.by_ids(connection, [each.release_id for each in open_ones])
        now = self._desk.now()
        stale = {
            each.release_id
            for each in open_ones
            if now >= each.expires_at
            or (
                each.state is not ApprovalState.REQUIRES_REVIEW
                and changes(rules.config, each, known[each.release_id])
            )
            or (each.proposed and in_force(rules.config, each, known[each.release_id]))
        }
        if not stale:
            return 0

        async def work(turn: Turn) -> int:
            return sum([await settle_release(turn, known[release_id]) for release_id in sorted(stale)])

        return await self._desk.write(origin, work)

    async def _current(self, turn: Turn, approval_id: str) -> tuple[Approval, Release]:
        """The request as it stands now, with what time and changes have done to it written down."""
        found = await store.find_approval(turn.connection, approval_id)
        if found is None:
            raise _unknown(approval_id)
        release = await releases.by_id(turn.connection, found.release_id)
        assert release is not None
        await settle_release(turn, release)
        current = await store.find_approval(turn.connection, approval_id)
        assert current is not None
        return current, release

    async def _views(self, connection: Any, found: Sequence[Approval]) -> list[dict[str, Any]]:
        now = self._desk.now()
        rules = await self._desk.rules(connection)
        known = await releases.by_ids(connection, [each.release_id for each in found])
        return [approval_view(each.at(now), known[each.release_id], rules.config, now) for each in found]


class Refusal:
    """Carries a refusal out of a transaction that must be committed all the same."""

    def __init__(self, error: TransitionError | ForbiddenError | None) -> None:
        self.error = error


def _demand(
    turn: Turn, stage: str, reviewers: Sequence[str], quorum: int | None
) -> tuple[int, tuple[str, ...]]:
    rules = turn.policy.stage(stage).approval
    if rules is None:
        raise InvalidError(f"nobody has to agree before a release enters {stage}", "promote it")
    wanted = rules.quorum if quorum is None else quorum
    named = tuple(dict.fromkeys(reviewers)) or rules.reviewers
    if not rules.quorum <= wanted <= 20:
        raise InvalidError(f"quorum: {stage} takes {rules.quorum} approvals", "ask for as many, up to 20")
    strangers = [name for name in named if rules.reviewers and name not in rules.reviewers]
    if strangers:
        raise InvalidError(
            f"reviewers: {', '.join(strangers)} may not approve for {stage}",
            f"name some of: {', '.join(rules.reviewers)}",
        )
    for name in named:
        check_text("reviewers", name, longest=256, required=True)
    able = [name for name in named if name != turn.origin.actor]
    if named and len(able) < wanted:
        raise InvalidError(
            f"reviewers: {len(able)} besides {turn.origin.actor} can never be {wanted} approvals",
            "name more reviewers",
        )
    return wanted, named


def _about(turn: Turn, release: Release, stage: str, proposed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a request is bound to."""
    now = plan_of(turn.rules.config, release.name, stage)
    plan = now if proposed is None else check_plan(proposed)
    return {
        "release_digest": release.digest,
        "plan": plan,
        "plan_digest": plan_digest(plan),
        "proposed": plan_digest(plan) != plan_digest(now),
    }


def _changed(approval: Approval, turn: Turn) -> Approval:
    if approval.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
        return approval
    return approval.after(ApprovalEvent.CHANGE, now=turn.at, by=turn.origin.actor, reason="another plan")


def _lasts(turn: Turn, stage: str) -> float:
    rules = turn.policy.stage(stage).approval
    assert rules is not None
    return rules.expires


def _requested(approval: Approval, release: Release) -> ApprovalRequested:
    return ApprovalRequested(
        resource_id=approval.id,
        subject=release.label,
        reason=approval.justification,
        digest=digest({"release": approval.release_digest, "plan": approval.plan_digest}),
        requested_by=approval.requested_by,
        reviewers=list(approval.reviewers),
        quorum=approval.quorum,
    )


def _voted(after: Approval, release: Release, reason: str) -> AuditEvent:
    if after.state is ApprovalState.REJECTED:
        return ApprovalRejected(
            resource_id=after.id, subject=release.label, reason=reason, requested_by=after.requested_by
        )
    return ApprovalGranted(
        resource_id=after.id,
        subject=release.label,
        reason=reason,
        requested_by=after.requested_by,
        approvals=len(after.approvers),
        quorum=after.quorum,
        complete=after.state is ApprovalState.APPROVED,
    )


def _unknown(approval_id: str) -> NotFoundError:
    return NotFoundError(f"there is no approval {approval_id!r}", "list them with headgate approvals list")
