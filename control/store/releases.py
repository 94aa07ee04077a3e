"""Releases, their stages and what they were made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Select, and_, exists, func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from control.audit.canonical import canonical
from control.registry.release import Move, Release
from control.store.registry_schema import (
    aliases,
    approvals,
    registry_head,
    release_metrics,
    release_moves,
    release_parents,
    release_tags,
    releases,
    stage_holders,
)

_JSON: Final = ("config", "endpoints", "parents")
COMPARISONS: Final = (">=", "<=", "==", ">", "<")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFilter:
    """Which releases to list; None means any. `metric` is a name, one of `COMPARISONS` and a number."""

    name: str | None = None
    contains: str | None = None
    stage: str | None = None
    tag: tuple[str, str | None] | None = None
    metric: tuple[str, str, float] | None = None
    alias: str | None = None
    approved: str | None = None
    """Only those with a granted request for this stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Which release a stage for a single one holds, and which it held before."""

    release_id: str | None
    previous_id: str | None


async def take_turn(connection: AsyncConnection) -> int:
    """Become the only writer of the registry until the transaction ends; returns the new revision."""
    turn = update(registry_head).where(registry_head.c.id == 1).values(revision=registry_head.c.revision + 1)
    return int((await connection.execute(turn.returning(registry_head.c.revision))).scalar_one())


async def revision(connection: AsyncConnection, *, lock: bool = False) -> int:
    """Changes with every change of the registry; with *lock* none takes place before the transaction ends."""
    query = select(registry_head.c.revision)
    if lock:
        query = query.with_for_update(read=True)
    return int((await connection.execute(query)).scalar_one())


class RegistryMovedError(Exception):
    """The registry has changed since it was looked at."""


async def check_revision(connection: AsyncConnection, seen: int) -> None:
    """Make sure that nothing has changed since *seen*, and that nothing does before the transaction ends.

    Raises:
        RegistryMovedError: something has.
    """
    if await revision(connection, lock=True) != seen:
        raise RegistryMovedError


async def add_release(connection: AsyncConnection, release: Release, parents: Sequence[str]) -> None:
    """Write a release and, by their ids, its *parents*."""
    values = {column.name: _plain(release, column.name) for column in releases.c}
    await connection.execute(insert(releases).values(values))
    for table, key, rows in (
        (release_metrics, "metric", release.metrics),
        (release_tags, "tag", release.tags),
    ):
        if rows:
            await connection.execute(
                insert(table), [{"release_id": release.id, key: k, "value": v} for k, v in rows.items()]
            )
    if parents:
        await connection.execute(
            insert(release_parents), [{"release_id": release.id, "parent_id": parent} for parent in parents]
        )


async def find_release(connection: AsyncConnection, *, name: str, version_key: str) -> Release | None:
    """The release of this name and version."""
    query = select(releases).where(releases.c.name == name, releases.c.version_key == version_key)
    return await _one(connection, query)


async def by_id(connection: AsyncConnection, release_id: str) -> Release | None:
    """The release with this id."""
    return await _one(connection, select(releases).where(releases.c.id == release_id))


async def by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Release]:
    """The releases with these ids."""
    found = await _many(connection, select(releases).where(releases.c.id.in_(list(ids)))) if ids else []
    return {release.id: release for release in found}


async def newest(
    connection: AsyncConnection, name: str, *, stage: str | None = None, prereleases: bool = True
) -> Release | None:
    """The release of *name* with the highest version."""
    query = select(releases).where(releases.c.name == name)
    if stage is not None:
        query = query.where(releases.c.stage == stage)
    # Pre-releases rank with a blank at their end, releases proper with a tilde.
    order = releases.c.rank.desc(), releases.c.id.desc()
    if prereleases:
        return await _one(connection, query.order_by(*order).limit(1))
    for release in await _many(connection, query.order_by(*order).limit(1000)):
        if not release.rank.endswith(b" "):
            return release
    return None


async def newest_approved(
    connection: AsyncConnection, name: str, *, stage: str | None = None
) -> Release | None:
    """The release of *name* with the highest version for which a request was granted, for *stage* or any."""
    granted = exists().where(approvals.c.release_id == releases.c.id, approvals.c.state == "approved")
    if stage is not None:
        granted = granted.where(approvals.c.stage == stage)
    query = select(releases).where(releases.c.name == name, granted)
    return await _one(connection, query.order_by(releases.c.rank.desc(), releases.c.id.desc()).limit(1))


async def page(
    connection: AsyncConnection, wanted: ReleaseFilter, *, limit: int, offset: int
) -> list[Release]:
    """Releases by name, the newest version first."""
    query = _filtered(select(releases), wanted)
    query = query.order_by(releases.c.name, releases.c.rank.desc(), releases.c.id.desc())
    return await _many(connection, query.limit(limit).offset(offset))


async def count(connection: AsyncConnection, wanted: ReleaseFilter) -> int:
    """How many releases `page` would list."""
    query = _filtered(select(func.count()).select_from(releases), wanted)
    return int((await connection.execute(query)).scalar_one())


async def names(connection: AsyncConnection) -> list[str]:
    """Every model that has a release."""
    query = select(releases.c.name).distinct().order_by(releases.c.name)
    return list((await connection.execute(query)).scalars())


async def children(connection: AsyncConnection, release_id: str) -> list[Release]:
    """Releases that were made from this one."""
    made = select(release_parents.c.release_id).where(release_parents.c.parent_id == release_id)
    return await _many(connection, select(releases).where(releases.c.id.in_(made)).order_by(releases.c.id))


async def parents(connection: AsyncConnection, release_id: str) -> list[Release]:
    """Releases that this one was made from."""
    made = select(release_parents.c.parent_id).where(release_parents.c.release_id == release_id)
    return await _many(connection, select(releases).where(releases.c.id.in_(made)).order_by(releases.c.id))


async def move(connection: AsyncConnection, step: Move) -> None:
    """Put a release into another stage and keep the step."""
    await add_move(connection, step)
    place = update(releases).where(releases.c.id == step.release_id)
    await connection.execute(place.values(stage=step.to_stage, stage_since=step.at))


async def add_move(connection: AsyncConnection, step: Move) -> None:
    """Write a row of the history."""
    values = {column.name: getattr(step, column.name) for column in release_moves.c}
    await connection.execute(insert(release_moves).values(values))


async def history(connection: AsyncConnection, release_id: str) -> list[Move]:
    """Every stage a release has been in, the first one first."""
    query = select(release_moves).where(release_moves.c.release_id == release_id).order_by(release_moves.c.id)
    return [Move(**row) for row in (await connection.execute(query)).mappings()]


async def holder(connection: AsyncConnection, *, name: str, stage: str) -> Holder:
    """Who is in a stage for a single release."""
    query = select(stage_holders.c.release_id, stage_holders.c.previous_id).where(
        stage_holders.c.name == name, stage_holders.c.stage == stage
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    return Holder(release_id=None, previous_id=None) if row is None else Holder(**row)


async def hold(connection: AsyncConnection, *, name: str, stage: str, holder: Holder, at: float) -> None:
    """Say who is in a stage for a single release."""
    key = (stage_holders.c.name == name, stage_holders.c.stage == stage)
    values = {"release_id": holder.release_id, "previous_id": holder.previous_id, "since": at}
    changed = await connection.execute(update(stage_holders).where(*key).values(values))
    if changed.rowcount == 0:
        await connection.execute(insert(stage_holders).values(name=name, stage=stage, **values))


async def previous_holders(connection: AsyncConnection) -> set[str]:
    """The ids of all releases that stages for a single one would go back to."""
    query = select(stage_holders.c.previous_id).where(stage_holders.c.previous_id.is_not(None))
    return set((await connection.execute(query)).scalars())


def _filtered(query: Select[Any], wanted: ReleaseFilter) -> Select[Any]:
    if wanted.name is not None:
        query = query.where(releases.c.name == wanted.name)
    if wanted.contains is not None:
        query = query.where(releases.c.name.contains(wanted.contains, autoescape=True))
    if wanted.stage is not None:
        query = query.where(releases.c.stage == wanted.stage)
    if wanted.tag is not None:
        tag, value = wanted.tag
        match = [release_tags.c.release_id == releases.c.id, release_tags.c.tag == tag]
        if value is not None:
            match.append(release_tags.c.value == value)
        query = query.where(exists().where(and_(*match)))
    if wanted.metric is not None:
        metric, comparison, number = wanted.metric
        match = [release_metrics.c.release_id == releases.c.id, release_metrics.c.metric == metric]
        query = query.where(exists().where(and_(*match, _compared(comparison, number))))
    if wanted.alias is not None:
        query = query.where(
            exists().where(aliases.c.release_id == releases.c.id, aliases.c.alias == wanted.alias)
        )
    if wanted.approved is not None:
        query = query.where(
            exists().where(
                approvals.c.release_id == releases.c.id,
                approvals.c.stage == wanted.approved,
                approvals.c.state == "approved",
            )
        )
    return query


def _compared(comparison: str, number: float) -> Any:
    column = release_metrics.c.value
    return {
        ">=": column >= number,
        "<=": column <= number,
        "==": column == number,
        ">": column > number,
        "<": column < number,
    }[comparison]


def _plain(release: Release, name: str) -> Any:
    value = getattr(release, name)
    return canonical(value).decode() if name in _JSON else value


async def _one(connection: AsyncConnection, query: Select[Any]) -> Release | None:
    found = await _many(connection, query)
    return found[0] if found else None


async def _many(connection: AsyncConnection, query: Select[Any]) -> list[Release]:
    rows = list((await connection.execute(query)).mappings())
    ids = [row["id"] for row in rows]
    metrics = await _pairs(connection, release_metrics, "metric", ids)
    tags = await _pairs(connection, release_tags, "tag", ids)
    return [_release(row, metrics.get(row["id"], {}), tags.get(row["id"], {})) for row in rows]


async def _pairs(
    connection: AsyncConnection, table: Any, key: str, ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if ids:
        query = select(table).where(table.c.release_id.in_(ids)).order_by(table.c[key])
        for row in (await connection.execute(query)).mappings():
            found.setdefault(row["release_id"], {})[row[key]] = row["value"]
    return found


def _release(row: RowMapping, metrics: Mapping[str, float], tags: Mapping[str, str]) -> Release:
    values = dict(row)
    for name in _JSON:
        values[name] = orjson.loads(values[name])
    values["endpoints"], values["parents"] = tuple(values["endpoints"]), tuple(values["parents"])
    values["rank"] = bytes(values["rank"])
    return Release(**values, metrics=dict(metrics), tags=dict(tags))
