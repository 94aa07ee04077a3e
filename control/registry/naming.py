"""Aliases: set one, take it back, see what it stood for; routes that use it follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from control.audit.events import Origin
from control.errors import ConflictError, NotApprovedError, NotFoundError, TransitionError
from control.registry.admission import serving
from control.registry.draft import check_text
from control.registry.names import check_alias, check_name
from control.registry.placing import set_alias
from control.registry.plans import protected_aliases
from control.registry.registry import allow, find
from control.registry.release import Release, rfc3339
from control.registry.turn import Desk, Turn
from control.store import aliases, releases


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An alias and the release it stands for; `previous` is what it can go back to."""

    name: str
    alias: str
    release: Release | None
    previous: Release | None
    moved_at: float
    moved_by: str

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "alias": self.alias,
            "release": None if self.release is None else self.release.label,
            "previous": None if self.previous is None else self.previous.label,
            "moved_at": rfc3339(self.moved_at),
            "moved_by": self.moved_by,
        }


class Aliases:
    """Names that stand for one release at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def all(self, name: str | None = None) -> list[Named]:
        """Every alias, or those of one model."""
        async with self._desk.store.read() as connection:
            rows = await aliases.all_aliases(connection, name=name)
            ids = [row.release_id for row in rows] + [row.previous_id for row in rows if row.previous_id]
            known = await releases.by_ids(connection, ids)
        return [
            Named(
                name=row.name,
                alias=row.alias,
                release=known.get(row.release_id),
                previous=known.get(row.previous_id or ""),
                moved_at=row.moved_at,
                moved_by=row.moved_by,
            )
            for row in rows
        ]

    async def history(self, name: str, alias: str) -> list[dict[str, Any]]:
        """Everything an alias has stood for, the first first."""
        async with self._desk.store.read() as connection:
            steps = await aliases.alias_history(connection, name=check_name(name), alias=check_alias(alias))
            ids = [each for step in steps for each in (step.from_id, step.to_id) if each]
            known = await releases.by_ids(connection, ids)
        return [
            {
                "at": rfc3339(step.at),
                "actor": step.actor,
                "from": known[step.from_id].label if step.from_id else None,
                "to": known[step.to_id].label if step.to_id else None,
                "reason": step.reason,
            }
            for step in steps
        ]

    async def move(
        self,
        name: str,
        alias: str,
        version: str,
        origin: Origin,
        *,
        reason: str = "",
        break_glass: bool = False,
    ) -> Release:
        """Let an alias stand for another release of its model.

        Raises:
            ConflictError: a stage sets this alias.
            NotApprovedError: a protected route uses it, and the release is not approved.
        """
        check_name(name)
        check_alias(alias)
        reason = check_text("reason", reason, longest=1000, required=break_glass)

        async def work(turn: Turn) -> Release:
            _refuse_managed(turn, name, alias)
            target = await find(self._desk, turn.connection, f"{name}:{version}")
            for stage in sorted(protected_aliases(turn.rules.config, name).get(alias, ())):
                found = await serving(turn.connection, turn.rules, target, stage, now=turn.at)
                if found.problem and not break_glass:
                    raise NotApprovedError(
                        f"a route protected for {stage} uses {name}@{alias}: {found.problem}", found.remedy
                    )
                if found.problem:
                    await allow(turn, target, stage, reason=reason, break_glass=True)
            await set_alias(turn, name, alias, target, reason=reason)
            return target

        return await self._desk.write(origin, work)

    async def revert(self, name: str, alias: str, origin: Origin, *, reason: str = "") -> Release:
        """Let an alias stand again for what it stood for before. Nobody has to agree.

        Raises:
            NotFoundError: there is no such alias.
            TransitionError: it has stood for nothing else.
        """
        check_name(name)
        check_alias(alias)
        reason = check_text("reason", reason, longest=1000)

        async def work(turn: Turn) -> Release:
            _refuse_managed(turn, name, alias)
            present = await aliases.find_alias(turn.connection, name=name, alias=alias)
            if present is None:
                raise NotFoundError(f"there is no alias {name}@{alias}", "set it first")
            before = None
            if present.previous_id is not None:
                before = await releases.by_id(turn.connection, present.previous_id)
            if before is None:
                raise TransitionError(f"{name}@{alias} has stood for nothing else", "name a version")
            await set_alias(turn, name, alias, before, reason=reason)
            return before

        return await self._desk.write(origin, work)

    async def remove(self, name: str, alias: str, origin: Origin, *, reason: str = "") -> None:
        """Let an alias stand for nothing.

        Raises:
            NotFoundError: there is no such alias.
        """
        check_name(name)
        check_alias(alias)
        reason = check_text("reason", reason, longest=1000)

        async def work(turn: Turn) -> None:
            _refuse_managed(turn, name, alias)
            if not await set_alias(turn, name, alias, None, reason=reason):
                raise NotFoundError(
                    f"there is no alias {name}@{alias}", "list them with headgate registry alias"
                )

        await self._desk.write(origin, work)


def _refuse_managed(turn: Turn, name: str, alias: str) -> None:
    stage = turn.policy.aliases.get(alias)
    if stage is not None:
        raise ConflictError(
            f"alias {name}@{alias} always names the release in {stage}", f"promote a release to {stage}"
        )
