"""Requests to let a release into a stage: votes, comments, and entries without one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.audit.canonical import canonical
from control.registry.approval import Approval, ApprovalState, Comment, Vote
from control.store.registry_schema import approval_comments, approval_votes, approvals, break_glass


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGlass:
    """A release let into a stage without approval; a task until somebody has looked at it.

    `finding` is ``accepted`` or ``objected`` and what was said; an objection takes the permission back.
    """

    id: str
    release_id: str
    name: str
    stage: str
    actor: str
    reason: str
    at: float
    reviewed_at: float | None = None
    reviewed_by: str = ""
    finding: str = ""

    @property
    def valid(self) -> bool:
        """Whether it still lets the release in."""
        return not self.finding.startswith("objected")


async def save_approval(connection: AsyncConnection, approval: Approval) -> None:
    """Write the row, new or changed; votes are written apart."""
    values = {column.name: getattr(approval, column.name) for column in approvals.c}
    values["state"] = approval.state.word
    values["reviewers"] = canonical(list(approval.reviewers)).decode()
    values["plan"] = canonical(dict(approval.plan)).decode()
    changed = await connection.execute(update(approvals).where(approvals.c.id == approval.id).values(values))
    if changed.rowcount == 0:
        await connection.execute(insert(approvals).values(values))


async def add_vote(connection: AsyncConnection, approval_id: str, vote: Vote) -> None:
    """Write a vote; a person has one in each round."""
    values = {
        column.name: getattr(vote, column.name) for column in approval_votes.c if column.name != "approval_id"
    }
    await connection.execute(insert(approval_votes).values(approval_id=approval_id, **values))


async def find_approval(connection: AsyncConnection, approval_id: str) -> Approval | None:
    """The request with this id."""
    found = await _many(connection, select(approvals).where(approvals.c.id == approval_id))
    return found[0] if found else None


async def approvals_of(
    connection: AsyncConnection, release_id: str, stage: str | None = None
) -> list[Approval]:
    """Every request about a release, the newest first."""
    query = select(approvals).where(approvals.c.release_id == release_id)
    if stage is not None:
        query = query.where(approvals.c.stage == stage)
    return await _many(connection, query.order_by(approvals.c.id.desc()))


async def open_approvals(connection: AsyncConnection) -> list[Approval]:
    """Every request that still matters."""
    return await _many(connection, select(approvals).where(approvals.c.open).order_by(approvals.c.id))


async def newest_open_approvals(connection: AsyncConnection, *, now: float, limit: int) -> list[Approval]:
    """At most *limit* requests that still matter and have not expired at *now*, newest first."""
    query = select(approvals).where(approvals.c.open, approvals.c.expires_at > now)
    return await _many(connection, query.order_by(approvals.c.id.desc()).limit(limit))


async def page(
    connection: AsyncConnection,
    *,
    limit: int,
    before: str | None = None,
    state: ApprovalState | None = None,
    name: str | None = None,
) -> list[Approval]:
    """At most *limit* requests, newest first, older than the request *before*."""
    query = select(approvals).order_by(approvals.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(approvals.c.id < before)
    if state is not None:
        query = query.where(approvals.c.state == state.word)
    if name is not None:
        query = query.where(approvals.c.name == name)
    return await _many(connection, query)


async def add_comment(connection: AsyncConnection, comment: Comment) -> None:
    """Write a comment; the one it answers must be there."""
    values = {column.name: getattr(comment, column.name) for column in approval_comments.c}
    await connection.execute(insert(approval_comments).values(values))


async def comments(connection: AsyncConnection, approval_id: str) -> list[Comment]:
    """What was said about a request, the first first."""
    query = (
        select(approval_comments)
        .where(approval_comments.c.approval_id == approval_id)
        .order_by(approval_comments.c.id)
    )
    return [Comment(**row) for row in (await connection.execute(query)).mappings()]


async def add_broken_glass(connection: AsyncConnection, row: BrokenGlass) -> None:
    """Write an entry without approval."""
    values = {column.name: getattr(row, column.name) for column in break_glass.c}
    await connection.execute(insert(break_glass).values(values))


async def review_broken_glass(
    connection: AsyncConnection, task_id: str, *, at: float, by: str, finding: str
) -> None:
    """Close the task."""
    change = update(break_glass).where(break_glass.c.id == task_id)
    await connection.execute(change.values(reviewed_at=at, reviewed_by=by, finding=finding))


async def find_broken_glass(connection: AsyncConnection, task_id: str) -> BrokenGlass | None:
    """The entry with this id."""
    query = select(break_glass).where(break_glass.c.id == task_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else BrokenGlass(**row)


async def broken_glass(
    connection: AsyncConnection,
    *,
    release_id: str | None = None,
    stage: str | None = None,
    open_only: bool = False,
    limit: int | None = None,
) -> list[BrokenGlass]:
    """Entries without approval, newest first; all of them without a *limit*."""
    query = select(break_glass).order_by(break_glass.c.id.desc()).limit(limit)
    if release_id is not None:
        query = query.where(break_glass.c.release_id == release_id)
    if stage is not None:
        query = query.where(break_glass.c.stage == stage)
    if open_only:
        query = query.where(break_glass.c.reviewed_at.is_(None))
    return [BrokenGlass(**row) for row in (await connection.execute(query)).mappings()]


async def _many(connection: AsyncConnection, query: Select[Any]) -> list[Approval]:
    rows = list((await connection.execute(query)).mappings())
    votes = await _votes(connection, [row["id"] for row in rows])
    return [
        Approval(
            **{
                **row,
                "state": ApprovalState[row["state"].upper()],
                "reviewers": tuple(orjson.loads(row["reviewers"])),
                "plan": orjson.loads(row["plan"]),
            },
            votes=tuple(votes.get(row["id"], ())),
        )
        for row in rows
    ]


async def _votes(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, list[Vote]]:
    found: dict[str, list[Vote]] = {}
    if ids:
        query = select(approval_votes).where(approval_votes.c.approval_id.in_(ids))
        query = query.order_by(approval_votes.c.round, approval_votes.c.at)
        for row in (await connection.execute(query)).mappings():
            values = {key: value for key, value in row.items() if key != "approval_id"}
            found.setdefault(row["approval_id"], []).append(Vote(**values))
    return found
