"""Releases that were let in without approval: each is a task for somebody else to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from control.audit.events import Origin
from control.audit.kinds.reviews import BreakGlassReviewed
from control.errors import ForbiddenError, NotFoundError, TransitionError
from control.registry.draft import check_text
from control.registry.release import Release, rfc3339
from control.registry.turn import Desk, Turn
from control.store import approvals as store
from control.store import releases
from control.store.approvals import BrokenGlass


class Tasks:
    """What is left to do after the glass was broken."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def all(self, *, open_only: bool = True, limit: int | None = None) -> list[dict[str, Any]]:
        """Entries without approval that nobody has looked at yet, or all of them; newest first."""
        async with self._desk.store.read() as connection:
            rows = await store.broken_glass(connection, open_only=open_only, limit=limit)
            known = await releases.by_ids(connection, [row.release_id for row in rows])
        return [task_view(row, known[row.release_id]) for row in rows]

    async def review(self, task_id: str, origin: Origin, *, accept: bool, reason: str) -> dict[str, Any]:
        """Close the task of an entry without approval. An objection takes the permission back.

        Raises:
            NotFoundError: there is no such task.
            ForbiddenError: it is the one who broke the glass.
            TransitionError: somebody has looked at it.
        """
        reason = check_text("reason", reason, longest=1000, required=True)

        async def work(turn: Turn) -> dict[str, Any]:
            row = await store.find_broken_glass(turn.connection, task_id)
            if row is None:
                raise NotFoundError(
                    f"there is no task {task_id!r}", "list them with headgate approvals tasks"
                )
            if row.reviewed_at is not None:
                raise TransitionError(f"{row.reviewed_by} has looked at {task_id}", "there is nothing to do")
            if row.actor == turn.origin.actor:
                raise ForbiddenError(f"{row.actor} broke the glass", "let somebody else look at it")
            finding = f"{'accepted' if accept else 'objected'}: {reason}"
            await store.review_broken_glass(
                turn.connection, task_id, at=turn.at, by=turn.origin.actor, finding=finding
            )
            release = await releases.by_id(turn.connection, row.release_id)
            assert release is not None
            turn.events.append(
                BreakGlassReviewed(resource_id=task_id, subject=release.label, accepted=accept, reason=reason)
            )
            after = replace(row, reviewed_at=turn.at, reviewed_by=turn.origin.actor, finding=finding)
            return task_view(after, release)

        return await self._desk.write(origin, work)


def task_view(row: BrokenGlass, release: Release) -> dict[str, Any]:
    """An entry without approval as people see it."""
    return {
        "id": row.id,
        "release": release.label,
        "stage": row.stage,
        "actor": row.actor,
        "reason": row.reason,
        "at": rfc3339(row.at),
        "reviewed_at": None if row.reviewed_at is None else rfc3339(row.reviewed_at),
        "reviewed_by": row.reviewed_by or None,
        "finding": row.finding,
    }
