"""What shadows have counted, as rows."""

from dataclasses import replace

from control.store.engine import Store
from control.store.shadows import StoredShadow, all_shadows, end_shadows, forget_shadow, save_shadows

ROW = StoredShadow(
    node="n", boot="b", route="fraud", shadow="v2", role="shadow", stage="s", updated_at=1.0, body="{}"
)


async def test_rows_are_written_replaced_ended_and_forgotten(store: Store) -> None:
    """One for each boot and shadow."""
    async with store.write() as connection:
        await save_shadows(connection, [])
        await save_shadows(connection, [ROW, replace(ROW, boot="c"), replace(ROW, stage="t")])
        await save_shadows(connection, [replace(ROW, body="[]")])
        assert sorted(row.body for row in await all_shadows(connection)) == ["[]", "{}", "{}"]

        await end_shadows(connection, node="n", boot="c")
        await forget_shadow(connection, route="fraud", shadow="v2", role="shadow", stage="t")

    async with store.read() as connection:
        assert await all_shadows(connection) == [replace(ROW, body="[]")]
