"""Puts a release into a stage: who has to make room, which alias follows, what is kept to go back to."""

from __future__ import annotations

from dataclasses import replace

from control.audit.kinds.models import AliasMoved
from control.ids import new_id
from control.registry.release import Move, Release
from control.registry.turn import Turn
from control.store import aliases, approvals, releases
from control.store.aliases import AliasMove
from control.store.releases import Holder


async def place(
    turn: Turn, release: Release, stage: str, *, action: str, reason: str, approval: str = ""
) -> tuple[Release, Release | None]:
    """Move *release* to *stage*; returns it as it is afterwards, and who had to make room."""
    await _leave(turn, release)
    replaced: Release | None = None
    if turn.policy.stage(stage).single:
        holder = await releases.holder(turn.connection, name=release.name, stage=stage)
        previous = holder.previous_id
        if holder.release_id is not None and holder.release_id != release.id:
            displaced = await releases.by_id(turn.connection, holder.release_id)
            assert displaced is not None
            replaced, previous = displaced, displaced.id
            await _move(
                turn,
                displaced,
                turn.policy.place_of_the_displaced(stage),
                action="displace",
                reason=f"{release.label} took its place",
            )
        await releases.hold(
            turn.connection,
            name=release.name,
            stage=stage,
            # What has just come back is no longer what to go back to.
            holder=Holder(release_id=release.id, previous_id=None if previous == release.id else previous),
            at=turn.at,
        )
    moved = await _move(turn, release, stage, action=action, reason=reason, approval=approval)
    await _used(turn, approval)
    alias = turn.policy.stage(stage).alias
    if alias is not None:
        await set_alias(turn, release.name, alias, release, reason=f"{release.label} entered {stage}")
    return moved, replaced


async def set_alias(turn: Turn, name: str, alias: str, target: Release | None, *, reason: str) -> bool:
    """Let *alias* stand for *target*, or for nothing; False when it does already."""
    present = await aliases.find_alias(turn.connection, name=name, alias=alias)
    before = None if present is None else await releases.by_id(turn.connection, present.release_id)
    if (before.id if before else None) == (target.id if target else None):
        return False
    await aliases.move_alias(
        turn.connection,
        AliasMove(
            id=new_id("l"),
            name=name,
            alias=alias,
            from_id=None if before is None else before.id,
            to_id=None if target is None else target.id,
            at=turn.at,
            actor=turn.origin.actor,
            reason=reason,
        ),
    )
    turn.events.append(
        AliasMoved(
            resource_id=f"{name}@{alias}",
            model=name,
            alias=alias,
            before="" if before is None else before.label,
            after="" if target is None else target.label,
            reason=reason,
        )
    )
    return True


async def _leave(turn: Turn, release: Release) -> None:
    """Take a release out of a stage that holds one; it stays what to go back to, its alias names nothing."""
    stage = turn.policy.stages.get(release.stage)
    if stage is None or not stage.single:
        return
    holder = await releases.holder(turn.connection, name=release.name, stage=release.stage)
    if holder.release_id != release.id:
        return
    await releases.hold(
        turn.connection,
        name=release.name,
        stage=release.stage,
        holder=Holder(release_id=None, previous_id=release.id),
        at=turn.at,
    )
    if stage.alias is not None:
        await set_alias(turn, release.name, stage.alias, None, reason=f"{release.label} left {release.stage}")


async def _move(
    turn: Turn, release: Release, stage: str, *, action: str, reason: str, approval: str = ""
) -> Release:
    await releases.move(
        turn.connection,
        Move(
            id=new_id("h"),
            release_id=release.id,
            at=turn.at,
            actor=turn.origin.actor,
            action=action,
            from_stage=release.stage,
            to_stage=stage,
            reason=reason,
            approval_id=approval,
        ),
    )
    return replace(release, stage=stage, stage_since=turn.at)


async def _used(turn: Turn, approval_id: str) -> None:
    """A granted request serves once: coming back another day takes another one."""
    found = await approvals.find_approval(turn.connection, approval_id) if approval_id else None
    if found is not None:
        await approvals.save_approval(turn.connection, replace(found, open=False, applied_at=turn.at))
