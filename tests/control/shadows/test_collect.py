"""Sums of what shadows count: loss, repetition, order and restarts change nothing."""

from __future__ import annotations

import random

from control.shadows.collect import ShadowCollector
from control.shadows.counts import ShadowKey
from control.shadows.reported import ReportedShadow, parse_shadows
from tests.helpers.pairs import comparison, copies

KEY = ShadowKey("fraud", "v2", "shadow", "s")
A, B = ("n", "a"), ("n", "b")


def said(agree: int, differ: int = 0) -> tuple[ReportedShadow, ...]:
    """A report of one boot."""
    return parse_shadows(
        {
            "shadows": [copies(KEY, sent=agree + differ)],
            "comparisons": [comparison(KEY, agree=agree, differ=differ)],
        }
    )


def test_reports_of_a_boot_replace_and_boots_add_up() -> None:
    """In any order, repeated, with some lost."""
    reports = [(A, said(n, n // 10)) for n in (10, 20, 30)] + [(B, said(n)) for n in (5, 7)]
    for seed in range(20):
        draw = random.Random(seed)
        shuffled = [*reports, *draw.choices(reports, k=4)]
        draw.shuffle(shuffled)
        collector = ShadowCollector()
        for boot, report in shuffled:
            collector.take(boot, report)

        total = collector.total(KEY)

        assert (total.compared, total.disagreed) == (33 + 7, 3)
        assert total.mirrored == total.get("eligible") == 40
        assert total.under("path") == {"number:/outputs/*/data/*": 3}
        assert int(total.histogram("ratio").sum()) == 40


def test_a_boot_that_ends_stays_in_the_sum() -> None:
    """And what was written down is what is restored."""
    collector = ShadowCollector()
    collector.take(A, said(10, 1))
    collector.end(A)
    collector.take(B, said(5))
    unsaved = collector.unsaved()

    again = ShadowCollector()
    again.restore(unsaved.rows)

    assert collector.total(KEY).compared == again.total(KEY).compared == 16
    assert unsaved.ended == (A,)
    collector.saved(unsaved)
    assert collector.unsaved().empty


def test_what_changes_while_it_is_written_is_written_again() -> None:
    """A row is clean only if it is the one that was written."""
    collector = ShadowCollector()
    collector.take(A, said(10))
    unsaved = collector.unsaved()
    collector.take(A, said(11))
    collector.saved(unsaved)

    assert [row.values["compared"] for row in collector.unsaved().rows] == [11]


def test_shadows_that_left_the_table_are_forgotten() -> None:
    """Their rows, too."""
    collector = ShadowCollector()
    collector.take(A, said(10))
    collector.keep_only([])

    assert collector.total(KEY).compared == 0
    assert collector.unsaved().forgotten == (KEY,)


def test_there_is_a_bound() -> None:
    """What finds no room is counted."""
    collector = ShadowCollector(entries_max=1)
    collector.take(A, said(1))
    collector.take(B, said(1))

    assert collector.total(KEY).compared == 1
    assert collector.dropped > 0
