"""Between the collector of shadows and the rows they are stored in."""

from __future__ import annotations

import orjson

from control.shadows.collect import ShadowRow, UnsavedShadows
from control.shadows.counts import ShadowKey
from control.store.engine import Connection
from control.store.shadows import StoredShadow, all_shadows, end_shadows, forget_shadow, save_shadows


async def write_shadows(connection: Connection, unsaved: UnsavedShadows, wall: float) -> None:
    """Write what has changed, in the caller's transaction."""
    for key in unsaved.forgotten:
        await forget_shadow(connection, **key._asdict())
    for node, boot in unsaved.ended:
        await end_shadows(connection, node=node, boot=boot)
    rows = (
        StoredShadow(
            node=row.boot[0],
            boot=row.boot[1],
            **row.key._asdict(),
            updated_at=wall,
            body=orjson.dumps(row.values).decode(),
        )
        for row in unsaved.rows
    )
    await save_shadows(connection, rows)


async def read_shadows(connection: Connection) -> list[ShadowRow]:
    """Everything that was written."""
    return [
        ShadowRow(
            boot=(row.node, row.boot),
            key=ShadowKey(row.route, row.shadow, row.role, row.stage),
            values=orjson.loads(row.body),
        )
        for row in await all_shadows(connection)
    ]
