"""Whatever happens to reports on their way, the sums come out the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from control.collect import ENDED, Collector
from control.counts import ArmKey, Counts
from control.reports import parse_report
from tests.helpers.counts import arm, report

CANARY = ArmKey("fraud", "v2", "canary", "s1")
STABLE = ArmKey("fraud", "v1", "stable", "s1")


@dataclass(frozen=True)
class Life:
    """What one boot would report: cumulative states, the last of them its final word or not."""

    reports: list[dict[str, Any]]
    good: int
    bad: int


@st.composite
def lives(draw: st.DrawFn, *, ends: bool | None = None) -> list[Life]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=6))
        final = draw(st.booleans()) if ends is None else ends
        good = bad = 0
        reports = []
        for sequence, (ok, failed) in enumerate(steps, 1):
            good, bad = good + ok, bad + failed
            reports.append(
                report(
                    arm("v2", "canary", "s1", ok=good, failed=bad),
                    arm("v1", "stable", "s1", ok=2 * good),
                    boot=f"boot-{number}",
                    sequence=sequence,
                    final=final and sequence == len(steps),
                )
            )
        found.append(Life(reports=reports, good=good, bad=bad))
    return found


def take(collector: Collector, reports: Sequence[dict[str, Any]], now: float = 0.0) -> None:
    for one in reports:
        collector.take(parse_report(one), now)


def totals(collector: Collector) -> tuple[int, int, int]:
    canary, stable = collector.total(CANARY), collector.total(STABLE)
    return canary.finished, canary.failed, stable.finished


def expected(found: Sequence[Life]) -> tuple[int, int, int]:
    good, bad = sum(life.good for life in found), sum(life.bad for life in found)
    return good + bad, bad, 2 * good


@given(lives(ends=False), st.randoms(use_true_random=False))
def test_order_repetition_and_loss_change_no_sum(found: list[Life], random: Any) -> None:
    """Only the last state of each boot must arrive, at any time, any number of times."""
    sent = [one for life in found for one in life.reports if random.random() < 0.7]
    sent += [life.reports[-1] for life in found]
    sent += random.choices(sent, k=len(sent))
    random.shuffle(sent)
    collector = Collector()

    take(collector, sent)

    assert totals(collector) == expected(found)


@given(lives(), st.randoms(use_true_random=False))
def test_a_boot_that_ended_is_counted_once(found: list[Life], random: Any) -> None:
    """Late copies of what a boot said before its last word are recognised, whatever else comes between."""
    sent = [one for life in found for one in life.reports]
    late = random.choices(sent, k=len(sent))
    collector = Collector()

    take(collector, sent)
    take(collector, late)

    assert totals(collector) == expected(found)


@settings(max_examples=50)
@given(lives(), st.integers(0, 30), st.randoms(use_true_random=False))
def test_a_restart_in_between_changes_no_sum(found: list[Life], cut: int, random: Any) -> None:
    """What was written down and what is sent again give the sums of a process that never ended."""
    sent = [one for life in found for one in life.reports]
    collector = Collector()
    take(collector, sent[:cut])
    stored: dict[tuple[Any, ArmKey], Counts] = {}
    ended: list[Any] = []
    unsaved = collector.unsaved()
    stored.update(unsaved.counts)
    ended += unsaved.ended

    again = Collector()
    again.restore(((boot, key, counts) for (boot, key), counts in stored.items()), ended, 0.0)
    take(again, random.sample(sent[:cut], k=min(cut, len(sent))) if cut <= len(sent) else sent)
    take(again, sent[cut:])

    assert totals(again) == expected(found)


def test_a_final_report_moves_the_boot_into_one_sum() -> None:
    """A worker that crashes every second must not fill the memory with its lives."""
    collector = Collector()
    for number in range(500):
        take(
            collector,
            [report(arm("v2", "canary", "s1", ok=3), boot=f"boot-{number}", sequence=2, final=True)],
        )

    unsaved = collector.unsaved()

    assert collector.total(CANARY).finished == 1500
    assert collector.heard() == {}
    assert list(unsaved.counts) == [(ENDED, CANARY)]
    assert len(unsaved.ended) == 500


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    """A sender gone mad costs a bounded amount of memory."""
    collector = Collector(cells_max=3)

    take(collector, [report(*(arm("v2", "canary", f"s{n}", ok=1) for n in range(10)))])

    assert collector.dropped == 7
    assert len(collector.totals()) == 3
    assert collector.total(ArmKey("fraud", "v2", "canary", "s0")).finished == 1


def test_boots_that_went_silent_make_room_for_new_ones() -> None:
    """Machines that disappeared without a word do not lock out those that are there; their counts stay."""
    collector = Collector(boots_max=2)
    take(collector, [report(arm("v2", "canary", "s1", ok=1), boot=f"old-{n}") for n in range(2)], now=0.0)

    take(collector, [report(arm("v2", "canary", "s1", ok=5), boot="early")], now=60.0)
    take(collector, [report(arm("v2", "canary", "s1", ok=5), boot="late")], now=4000.0)

    assert collector.dropped == 1
    assert collector.total(CANARY).finished == 7
    assert list(collector.heard()) == [("node", "late")]


def test_a_stale_report_says_so() -> None:
    """The answer to a repeated report is that it said nothing new."""
    collector = Collector()
    first = parse_report(report(arm("v2", "canary", "s1", ok=3), sequence=2))

    assert collector.take(first, 0.0).accepted == 1
    assert collector.take(first, 0.0).stale == 1


def test_the_divert_gauge_follows_the_newest_report() -> None:
    """A gauge goes both ways, so an old report must not set it back."""
    collector = Collector()
    take(collector, [report(arm("v2", "canary", "s1", ok=1, diverted_now=1), sequence=5)])
    assert collector.diverting("fraud") == 1

    take(collector, [report(arm("v2", "canary", "s1", ok=1, diverted_now=0), sequence=4)])
    assert collector.diverting("fraud") == 1

    take(collector, [report(arm("v2", "canary", "s1", ok=1, diverted_now=0), sequence=6)])
    assert collector.diverting("fraud") == 0


def test_a_boot_whose_numbers_begin_afresh_still_counts() -> None:
    """A new agent that reads a former one's pages may count its reports from one again."""
    collector = Collector()
    take(collector, [report(arm("v2", "canary", "s1", ok=100), sequence=900)])

    take(collector, [report(arm("v2", "canary", "s1", ok=120), sequence=1)])

    assert collector.total(CANARY).finished == 120


def test_quiet_arms_that_nobody_needs_are_forgotten() -> None:
    """Weights long gone do not stay in memory; those a rollout may still hear of do."""
    collector = Collector()
    take(collector, [report(arm("v2", "canary", "old", ok=1), arm("v2", "canary", "kept", ok=1))], now=0.0)
    take(collector, [report(arm("v2", "canary", "fresh", ok=1), sequence=2)], now=3900.0)

    collector.forget_idle(4000.0, keep=lambda key: key.stage == "kept")

    assert {key.stage for key in collector.totals()} == {"kept", "fresh"}
    assert [key.stage for key in collector.unsaved().forgotten] == ["old"]


def test_what_changes_while_it_is_written_stays_unsaved() -> None:
    """A report that arrives during a commit is part of the next one."""
    collector = Collector()
    take(collector, [report(arm("v2", "canary", "s1", ok=1), sequence=1)])
    writing = collector.unsaved()

    take(collector, [report(arm("v2", "canary", "s1", ok=2), sequence=2)])
    collector.saved(writing)

    (counts,) = collector.unsaved().counts.values()
    assert counts.finished == 2
    collector.saved(collector.unsaved())
    assert collector.unsaved().empty
