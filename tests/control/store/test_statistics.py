"""Counts and ended boots as rows."""

from dataclasses import replace

from control.store import statistics
from control.store.engine import Store
from control.store.statistics import StoredCounts

ROW = StoredCounts(
    node="n", boot="b", route="fraud", variant="v2", role="canary", stage="s", updated_at=1.0, body="{}"
)


async def test_counts_are_written_and_replaced(store: Store) -> None:
    """One row for each boot and arm, whatever the order."""
    other = replace(ROW, boot="c")
    async with store.write() as connection:
        await statistics.save_counts(connection, [])
        await statistics.save_counts(connection, [ROW, other])
        await statistics.save_counts(connection, [replace(ROW, body="{1}")])

    async with store.read() as connection:
        found = sorted(await statistics.all_counts(connection), key=lambda row: row.boot)

    assert found == [replace(ROW, body="{1}"), other]


async def test_a_boot_that_ends_leaves_its_name(store: Store) -> None:
    """Its rows go, its name stays; ending it twice is once."""
    async with store.write() as connection:
        await statistics.save_counts(connection, [ROW, replace(ROW, boot="c")])
        await statistics.end_boot(connection, node="n", boot="b", at=2.0)
        await statistics.end_boot(connection, node="n", boot="b", at=3.0)
        await statistics.end_boot(connection, node="n", boot="a", at=1.0)

        assert await statistics.all_ended_boots(connection) == [("n", "a"), ("n", "b")]
        assert [row.boot for row in await statistics.all_counts(connection)] == ["c"]


async def test_names_of_ended_boots_have_a_bound(store: Store) -> None:
    """The newest stay."""
    async with store.write() as connection:
        for number in range(12):
            await statistics.end_boot(connection, node="n", boot=f"{number:02}", at=float(number))
        kept = await statistics.all_ended_boots(connection, keep=5)
        again = await statistics.all_ended_boots(connection)

    assert [boot for _, boot in kept] == ["07", "08", "09", "10", "11"]
    assert again == kept


async def test_forgotten_arms_are_gone_from_every_boot(store: Store) -> None:
    """Others stay."""
    async with store.write() as connection:
        await statistics.save_counts(connection, [ROW, replace(ROW, boot="c"), replace(ROW, stage="later")])
        await statistics.forget_arms(connection, [("fraud", "v2", "canary", "s")])

        assert [row.stage for row in await statistics.all_counts(connection)] == ["later"]
