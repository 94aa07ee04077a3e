"""Sums of what shadows count: loss, repetition, order and restarts change nothing."""

from __future__ import annotations

import random
from dataclasses import replace

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
    collector.follow([KEY], 100.0)
    collector.follow([], 200.0)

    assert collector.total(KEY).compared == 0
    assert collector.unsaved().forgotten == (KEY,)
    assert collector.unsaved().rows == ()


def test_another_comparison_counts_apart_and_the_earlier_ones_are_kept() -> None:
    """With their times, the last to end first, as many as there is room for; also over a restart."""
    collector = ShadowCollector()
    stages = [f"s{number}" for number in range(8)]
    for number, stage in enumerate(stages):
        key = KEY._replace(stage=stage)
        collector.follow([key], 100.0 * number + 100)
        report = [replace(part, key=key) for part in said(number + 1)]
        collector.take(A, report)
        # A late report of an earlier comparison still finds its place.
        collector.take(A, report)
    again = ShadowCollector()
    again.restore(collector.unsaved().rows)

    for one in (collector, again):
        now = one.total(KEY._replace(stage="s7"))
        earlier = one.earlier(KEY._replace(stage="s7"))
        assert (now.compared, now.began, now.ended) == (8, 800, None)
        assert [key.stage for key, _ in earlier] == ["s6", "s5", "s4", "s3", "s2"]
        assert [totals.compared for _, totals in earlier] == [7, 6, 5, 4, 3]
        assert earlier[0][1].ended == now.began
        assert one.total(KEY._replace(stage="s0")).compared == 0


def test_a_comparison_that_comes_back_goes_on() -> None:
    """It was the same rules and versions all along; its boots' end changes no times."""
    collector = ShadowCollector()
    other = KEY._replace(stage="t")
    collector.follow([KEY], 100.0)
    collector.take(A, said(10))
    collector.follow([other], 200.0)
    collector.follow([KEY], 300.0)
    collector.take(A, said(11))
    collector.end(A)

    total = collector.total(KEY)
    assert (total.compared, total.began, total.ended) == (11, 100, None)
    assert [key for key, _ in collector.earlier(KEY)] == [other]


def test_there_is_a_bound() -> None:
    """What finds no room is counted."""
    collector = ShadowCollector(entries_max=1)
    collector.take(A, said(1))
    collector.take(B, said(1))

    assert collector.total(KEY).compared == 1
    assert collector.dropped > 0
