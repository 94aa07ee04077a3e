"""Tests of the slots that arms are counted in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.slots import ArmKey, SlotBook, SlotsExhaustedError, Table, arm_key


def table(revision: int, *arms: tuple[str, str]) -> Table:
    """A table with one arm of route r for each (variant, stage)."""
    return {
        "revision": revision,
        "arms": [{"route": "r", "variant": v, "role": "variant", "stage": s, "slot": 0} for v, s in arms],
    }


def slots(book: SlotBook, wanted: Table) -> list[int]:
    """The slots that a table was given."""
    return [arm["slot"] for arm in book.allot(wanted)["arms"]]


def always(slot: int) -> bool:
    """Every slot is quiet."""
    return True


def test_arm_keeps_its_slot_while_it_stays() -> None:
    """A new table changes no slot of an arm that it keeps."""
    book = SlotBook()

    first = slots(book, table(1, ("v1", "s0"), ("v2", "s0")))
    second = slots(book, table(2, ("v2", "s0"), ("v3", "s0")))

    assert len({*first, *second}) == 3
    assert second[0] == first[1]
    assert 0 not in first + second


def test_allotting_does_not_change_the_table_given() -> None:
    """The published table stays as control sent it."""
    book, given_table = SlotBook(), table(1, ("v1", "s0"))

    book.allot(given_table)

    assert given_table["arms"][0]["slot"] == 0


def test_slot_waits_for_workers_and_requests() -> None:
    """A slot is free again only when no worker routes to it and nothing in it is in flight."""
    book = SlotBook()
    slots(book, table(1, ("v1", "s0")))
    slots(book, table(2, ("v1", "s1")))
    old = ArmKey("r", "v1", "variant", "s0")

    assert book.recyclable(1, always) == []
    assert book.recyclable(2, lambda slot: False) == []
    assert book.recyclable(2, always) == [old]
    assert book.release(old) == 1
    assert old not in book.occupied()


def test_arm_that_comes_back_in_time_has_its_slot() -> None:
    """A table that is taken back finds its counts where they were."""
    book = SlotBook()
    first = slots(book, table(1, ("v1", "s0")))
    slots(book, table(2, ("v1", "s1")))

    assert slots(book, table(3, ("v1", "s0"))) == first


def test_too_many_arms_are_refused_and_change_nothing() -> None:
    """A table that cannot be counted is refused with numbers; the table in use stays."""
    book = SlotBook(slots=3)
    slots(book, table(1, ("v1", "s0")))
    before = (dict(book.current), dict(book.leaving), list(book.free))

    with pytest.raises(SlotsExhaustedError, match=r"table 2 needs 2 new counter slots and 1 of 2 are free"):
        book.allot(table(2, ("v2", "s0"), ("v3", "s0")))

    assert (book.current, book.leaving, book.free) == before


def test_short_of_slots_an_arm_goes_on_under_its_earlier_stage() -> None:
    """A rollback is never held up by counting: the same variant's earlier slot serves."""
    book = SlotBook(slots=3)
    first = slots(book, table(1, ("v1", "s0"), ("v2", "s0")))

    second = slots(book, table(2, ("v1", "s1"), ("v2", "s1")))

    assert second == first
    assert book.shared == 2
    assert {key.stage for key in book.current} == {"s0"}


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("0123")), max_size=4, unique=True),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_no_slot_ever_counts_two_arms(history: list[tuple[list[tuple[str, str]], bool]]) -> None:
    """Whatever tables come and go, occupied slots are distinct, and none is lost."""
    book = SlotBook(slots=7)
    for revision, (arms, recycle) in enumerate(history, start=1):
        try:
            wanted = book.allot(table(revision, *arms))
        except SlotsExhaustedError:
            continue
        if book.shared == 0:
            assert all(book.current[arm_key(arm)] == arm["slot"] for arm in wanted["arms"])
        for key in book.recyclable(revision, always) if recycle else []:
            book.release(key)
        occupied = list(book.occupied().values())
        assert len(occupied) == len(set(occupied))
        assert sorted([*occupied, *book.free]) == list(range(1, 7))
