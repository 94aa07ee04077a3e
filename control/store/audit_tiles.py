"""The tree's tiles: written when they are full, read for proofs."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.audit.merkle import consistency_ranges, inclusion_ranges, prove
from control.audit.tiles import WIDTH, Place, filled, node_of, places, tile_of
from control.store.audit_tables import audit_events, audit_tiles


async def fill(connection: AsyncConnection, before: int, after: int) -> None:
    """Write the tiles that filled up since the log had *before* events; the events are there already."""
    for place in filled(before, after):
        tile = tile_of(place, await _gather(connection, place))
        await connection.execute(
            insert(audit_tiles).values(
                level=tile.level, number=tile.index, root=tile.root, hashes=tile.hashes
            )
        )


async def inclusion(connection: AsyncConnection, sequence: int, size: int) -> list[bytes]:
    """The proof that event *sequence*, counted from 1, is in the log of *size* events."""
    return await _prove(connection, inclusion_ranges(sequence - 1, size))


async def consistency(connection: AsyncConnection, first: int, second: int) -> list[bytes]:
    """The proof that the log of *second* events begins with that of *first*."""
    return await _prove(connection, consistency_ranges(first, second))


async def root_at(connection: AsyncConnection, size: int) -> bytes:
    """The root that the log had when it had *size* events, at least one."""
    (root,) = await _prove(connection, [(0, size)])
    return root


async def hashes_of(connection: AsyncConnection, place: Place) -> bytes:
    """The hashes of a tile, as far as they exist."""
    level, number = place
    query = select(audit_tiles.c.hashes).where(audit_tiles.c.level == level, audit_tiles.c.number == number)
    stored = (await connection.execute(query)).scalar_one_or_none()
    return bytes(stored) if stored is not None else await _gather(connection, place)


async def _prove(connection: AsyncConnection, ranges: list[tuple[int, int]]) -> list[bytes]:
    tiles = {place: await hashes_of(connection, place) for place in sorted(places(ranges))}
    return prove(ranges, lambda node: node_of(tiles, node))


async def _gather(connection: AsyncConnection, place: Place) -> bytes:
    level, number = place
    first, last = number * WIDTH, (number + 1) * WIDTH
    if level == 0:
        column, order = audit_events.c.leaf_hash, audit_events.c.sequence
        query = select(column).where(order > first, order <= last)
    else:
        column, order = audit_tiles.c.root, audit_tiles.c.number
        query = select(column).where(audit_tiles.c.level == level - 1, order >= first, order < last)
    return b"".join(bytes(one) for one in (await connection.execute(query.order_by(order))).scalars())
