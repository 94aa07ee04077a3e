"""The registry: register releases, find them, move them between stages; each change is one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config.registry import ARCHIVED
from control.audit.canonical import digest
from control.audit.events import Origin
from control.audit.kinds.approvals import BreakGlassUsed
from control.audit.kinds.models import ModelArchived, ModelPromoted, ModelRegistered, ModelRolledBack
from control.errors import DuplicateError, InvalidError, NotApprovedError, NotFoundError, TransitionError
from control.ids import new_id
from control.registry.admission import permission
from control.registry.draft import check_draft, check_text
from control.registry.names import LATEST, Reference, check_name, parse_reference
from control.registry.placing import place
from control.registry.release import Draft, Move, Release
from control.registry.turn import Desk, Turn
from control.registry.versions import parse_version
from control.store import aliases, approvals, releases
from control.store.approvals import BrokenGlass
from control.store.engine import Connection
from control.store.releases import Holder, ReleaseFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """A release with what is kept beside it."""

    release: Release
    history: Sequence[Move]
    aliases: Sequence[str]
    approval: Any = None
    """The newest request about it, or None."""

    def to_json(self) -> dict[str, Any]:
        asked = self.approval
        granted = asked is not None and asked.state.word == "approved"
        return self.release.to_json() | {
            "aliases": list(self.aliases),
            "history": [move.to_json() for move in self.history],
            "approval_status": None if asked is None else asked.state.word,
            "approved_by": list(asked.approvers) if granted else [],
            "approved_at": asked.to_json()["closed_at"] if granted else None,
            "approval": None if asked is None else asked.id,
        }


class Registry:
    """Asked by commands, the API and Python alike. References are ``NAME:VERSION`` or ``NAME@ALIAS``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def register(self, draft: Draft, origin: Origin) -> Release:
        """Write down a release whose artifact is stored already.

        Raises:
            InvalidError: a field cannot be kept.
            DuplicateError: there is a release of this version; it never changes.
            NotFoundError: a parent is not registered.
        """
        draft = check_draft(draft)

        async def work(turn: Turn) -> Release:
            return await _register(turn, draft)

        return await self._desk.write(origin, work)

    async def get(self, reference: str) -> Details:
        """A release with its history, aliases and newest approval.

        Raises:
            InvalidError: it is no reference.
            NotFoundError: there is no such release.
        """
        async with self._desk.store.read() as connection:
            release = await find(self._desk, connection, reference)
            return await details(connection, release, self._desk.now())

    async def page(self, wanted: ReleaseFilter, *, limit: int = 100, offset: int = 0) -> list[Details]:
        """Releases by name, the newest version first."""
        async with self._desk.store.read() as connection:
            found = await releases.page(connection, wanted, limit=limit, offset=offset)
            return [await details(connection, release, self._desk.now()) for release in found]

    async def count(self, wanted: ReleaseFilter) -> int:
        """How many releases there are of a kind."""
        async with self._desk.store.read() as connection:
            return await releases.count(connection, wanted)

    async def names(self) -> list[str]:
        """Every model."""
        async with self._desk.store.read() as connection:
            return await releases.names(connection)

    async def latest(
        self, name: str, *, stage: str | None = None, approved: bool = False, prereleases: bool = False
    ) -> Details:
        """The release with the highest version; a pre-release when asked for, or when there is nothing else.

        Raises:
            NotFoundError: there is none.
        """
        check_name(name)
        async with self._desk.store.read() as connection:
            if approved:
                release = await releases.newest_approved(connection, name, stage=stage)
            else:
                release = await releases.newest(connection, name, stage=stage, prereleases=prereleases)
                if release is None and not prereleases:
                    release = await releases.newest(connection, name, stage=stage)
            if release is None:
                what = (
                    f"{'approved ' if approved else ''}release of {name!r}{f' in {stage}' if stage else ''}"
                )
                raise NotFoundError(f"there is no {what}", "list them with headgate registry list")
            return await details(connection, release, self._desk.now())

    async def promote(
        self, reference: str, stage: str, origin: Origin, *, reason: str = "", break_glass: bool = False
    ) -> Release:
        """Move a release to another stage; what that takes is looked up in the same transaction.

        Raises:
            NotFoundError: there is no such release.
            TransitionError: the stage cannot be reached from where it is.
            NotApprovedError: it needs approval and has none; says who is missing.
        """
        reason = check_text("reason", reason, longest=1000, required=break_glass)

        async def work(turn: Turn) -> Release:
            release = await find(self._desk, turn.connection, reference)
            turn.policy.check_move(release.label, release.stage, stage)
            if stage == ARCHIVED:
                return await _archive(turn, release, reason)
            approval = await allow(turn, release, stage, reason=reason, break_glass=break_glass)
            moved, replaced = await place(
                turn, release, stage, action="promote", reason=reason, approval=approval
            )
            granted = await approvals.find_approval(turn.connection, approval) if approval else None
            turn.events.append(
                ModelPromoted(
                    resource_id=release.label,
                    model=release.name,
                    version=release.version,
                    from_stage=release.stage,
                    to_stage=stage,
                    replaced="" if replaced is None else replaced.label,
                    approval=approval,
                    approved_by=[] if granted is None else list(granted.approvers),
                    requested_by="" if granted is None else granted.requested_by,
                    reason=reason,
                )
            )
            return moved

        return await self._desk.write(origin, work)

    async def archive(self, reference: str, origin: Origin, *, reason: str = "") -> Release:
        """Put a release away; raises as `promote`."""
        return await self.promote(reference, ARCHIVED, origin, reason=reason)

    async def rollback(
        self, name: str, origin: Origin, *, stage: str = "production", reason: str = ""
    ) -> Release:
        """Give a stage back to the release it held before. Nobody has to agree.

        Raises:
            InvalidError: the stage holds more than one release.
            TransitionError: there is nothing to go back to.
        """
        check_name(name)
        reason = check_text("reason", reason, longest=1000)

        async def work(turn: Turn) -> Release:
            if not turn.policy.stage(stage).single:
                raise InvalidError(f"{stage} may hold several releases", "promote or archive them one by one")
            holder = await releases.holder(turn.connection, name=name, stage=stage)
            before = None
            if holder.previous_id is not None:
                before = await releases.by_id(turn.connection, holder.previous_id)
            if before is None:
                raise TransitionError(
                    f"{stage} of {name} has held no other release", "promote the one it should hold"
                )
            moved, replaced = await place(turn, before, stage, action="roll_back", reason=reason)
            turn.events.append(
                ModelRolledBack(
                    resource_id=replaced.label if replaced else f"{name}@{stage}",
                    model=name,
                    version=replaced.version if replaced else "",
                    replaced_by=before.label,
                    reason=reason,
                )
            )
            return moved

        return await self._desk.write(origin, work)

    async def lineage(self, reference: str) -> dict[str, Any]:
        """What a release was made from, all the way up, and what was made from it."""
        async with self._desk.store.read() as connection:
            release = await find(self._desk, connection, reference)
            above: dict[str, list[str]] = {}
            waiting = [release]
            while waiting:
                here = waiting.pop()
                if here.label not in above:
                    parents = await releases.parents(connection, here.id)
                    above[here.label] = [parent.label for parent in parents]
                    waiting += parents
            made = await releases.children(connection, release.id)
        return {
            "release": release.label,
            "dataset": release.dataset,
            "commit": release.commit,
            "artifact": release.artifact_digest,
            "ancestors": above,
            "children": [child.label for child in made],
        }


async def find(desk: Desk, connection: Connection, text: str | Reference) -> Release:
    """The release that a reference names, as this transaction sees it.

    Raises:
        InvalidError: it is no reference.
        NotFoundError: there is no such release.
    """
    reference = parse_reference(text) if isinstance(text, str) else text
    release = None
    if reference.alias == LATEST:
        release = await releases.newest(connection, reference.name, prereleases=False)
    elif reference.alias:
        alias = await aliases.find_alias(connection, name=reference.name, alias=reference.alias)
        release = None if alias is None else await releases.by_id(connection, alias.release_id)
    else:
        rules = await desk.rules(connection)
        key = reference.version
        # It may have been registered when versions were read in another way.
        with contextlib.suppress(InvalidError):
            key = parse_version(reference.version, rules.policy.scheme(reference.name)).key
        release = await releases.find_release(connection, name=reference.name, version_key=key)
        if release is None and key != reference.version:
            release = await releases.find_release(
                connection, name=reference.name, version_key=reference.version
            )
    if release is None:
        raise NotFoundError(f"there is no release {reference}", "list them with headgate registry list")
    return release


async def details(connection: Connection, release: Release, now: float) -> Details:
    """The release with what is kept beside it, as this transaction sees it."""
    named = await aliases.aliases_of(connection, [release.id])
    asked = await approvals.approvals_of(connection, release.id)
    return Details(
        release=release,
        history=await releases.history(connection, release.id),
        aliases=named.get(release.id, []),
        approval=asked[0].at(now) if asked else None,
    )


async def allow(turn: Turn, release: Release, stage: str, *, reason: str, break_glass: bool) -> str:
    """Make sure that *release* may enter *stage*; returns the id of the request that allows it, if any.

    Raises:
        NotApprovedError: it needs approval and has none.
    """
    holder = await releases.holder(turn.connection, name=release.name, stage=stage)
    if holder.previous_id == release.id:
        return ""
    found = await permission(turn.connection, turn.rules, release, stage, now=turn.at)
    if not found.problem:
        return "" if found.approval is None else found.approval.id
    if not break_glass:
        raise NotApprovedError(found.problem, found.remedy)
    task = new_id("g")
    await approvals.add_broken_glass(
        turn.connection,
        BrokenGlass(
            id=task,
            release_id=release.id,
            name=release.name,
            stage=stage,
            actor=turn.origin.actor,
            reason=reason,
            at=turn.at,
        ),
    )
    turn.events.append(
        BreakGlassUsed(
            resource_id=task, subject=release.label, reason=reason, missing=[found.problem], review=task
        )
    )
    return task


async def _register(turn: Turn, draft: Draft) -> Release:
    version = parse_version(draft.version, turn.policy.scheme(draft.name))
    existing = await releases.find_release(turn.connection, name=draft.name, version_key=version.key)
    if existing is not None:
        raise DuplicateError(
            f"{existing.label} is registered since {existing.to_json()['created_at'][:19]}",
            "a release never changes; register another version",
        )
    made_from = [await _parent(turn, parent) for parent in draft.parents]
    release = Release(
        id=new_id("m"),
        name=draft.name,
        version=version.text,
        version_key=version.key,
        rank=version.rank,
        stage=turn.policy.initial,
        stage_since=turn.at,
        created_at=turn.at,
        created_by=turn.origin.actor,
        framework=draft.framework,
        description=draft.description,
        artifact_digest=draft.artifact.digest,
        artifact_size=draft.artifact.size,
        artifact_name=draft.artifact.name,
        artifact_kind=draft.artifact.kind,
        uri=draft.uri,
        config=draft.config,
        config_digest=digest(draft.config),
        metrics=draft.metrics,
        tags=draft.tags,
        endpoints=tuple(draft.endpoints),
        parents=tuple(parent.label for parent in made_from),
        dataset=draft.dataset,
        commit=draft.commit,
    )
    await releases.add_release(turn.connection, release, list(dict.fromkeys(each.id for each in made_from)))
    await releases.add_move(
        turn.connection,
        Move(
            id=new_id("h"),
            release_id=release.id,
            at=turn.at,
            actor=turn.origin.actor,
            action="register",
            from_stage="",
            to_stage=release.stage,
            reason="",
            approval_id="",
        ),
    )
    if turn.policy.stages[release.stage].single:
        await releases.hold(
            turn.connection,
            name=release.name,
            stage=release.stage,
            holder=Holder(release_id=release.id, previous_id=None),
            at=turn.at,
        )
    turn.events.append(
        ModelRegistered(
            resource_id=release.label,
            model=release.name,
            version=release.version,
            stage=release.stage,
            artifact_digest=release.artifact_digest,
            artifact_bytes=release.artifact_size,
            model_config_digest=release.config_digest,
        )
    )
    return release


async def _parent(turn: Turn, text: str) -> Release:
    reference = parse_reference(text)
    if not reference.version:
        raise InvalidError(f"parents: {text} may name another release tomorrow", "name it by its version")
    key = parse_version(reference.version, turn.policy.scheme(reference.name)).key
    found = await releases.find_release(turn.connection, name=reference.name, version_key=key)
    if found is None:
        raise NotFoundError(f"the parent {text} is not registered", "register it first, or leave it out")
    return found


async def _archive(turn: Turn, release: Release, reason: str) -> Release:
    moved, _ = await place(turn, release, ARCHIVED, action="archive", reason=reason)
    turn.events.append(
        ModelArchived(
            resource_id=release.label,
            model=release.name,
            version=release.version,
            from_stage=release.stage,
            reason=reason,
        )
    )
    return moved
