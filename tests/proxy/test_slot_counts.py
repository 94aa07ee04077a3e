"""An arm's counts are in the page, at once or after the next tick, and go on from there."""

from proxy import counters
from proxy.counters import SLOT_CELLS, slot_base
from proxy.histogram import bucket_index
from proxy.outcomes import Outcome
from proxy.slot_counts import UNTIMED, SlotCounts

BASE = slot_base(1)


def cells() -> memoryview:
    """Return an empty page of two slots."""
    return memoryview(bytearray((BASE + SLOT_CELLS) * counters.CELL_BYTES)).cast("Q")


def test_a_success_is_stored_with_its_times() -> None:
    """The outcome of a request is in the page when it has ended, bytes and times when counts are settled."""
    page = cells()
    counts = SlotCounts(page, BASE)

    counts.start(-1)
    assert (page[BASE + counters.STARTED], page[BASE + counters.FINISHED]) == (1, 0)
    counts.attempt()
    counts.end(Outcome.OK, False, 10, 20, 5000, 300)

    assert page[BASE + counters.OUTCOME_0 + Outcome.OK] == page[BASE + counters.ATTEMPTS] == 1
    assert page[BASE + counters.FINISHED] == 0
    counts.settle()
    assert page[BASE + counters.FINISHED] == 1
    assert (page[BASE + counters.BYTES_IN], page[BASE + counters.BYTES_OUT]) == (10, 20)
    assert (page[BASE + counters.SUM_TOTAL_US], page[BASE + counters.SUM_FIRST_BYTE_US]) == (5000, 300)
    assert page[BASE + counters.HIST_TOTAL + bucket_index(5000)] == 1
    assert page[BASE + counters.HIST_FIRST_BYTE + bucket_index(300)] == 1


def test_an_attempt_is_in_the_page_before_its_request_has_ended() -> None:
    """A worker that is killed with requests under way has told how often endpoints were asked for them."""
    page = cells()
    counts = SlotCounts(page, BASE)

    counts.start(-1)
    counts.attempt()
    counts.attempt()

    assert page[BASE + counters.ATTEMPTS] == 2
    assert page[BASE + counters.FINISHED] == 0


def test_a_failure_is_counted_and_not_timed() -> None:
    """A failed request has an outcome and no place in the histograms."""
    page = cells()
    counts = SlotCounts(page, BASE)

    counts.start(-1)
    counts.end(Outcome.RESET, True, 10, 0, UNTIMED, UNTIMED)
    counts.settle()

    assert page[BASE + counters.FAILED] == page[BASE + counters.OUTCOME_0 + Outcome.RESET] == 1
    assert sum(page[BASE + counters.HIST_TOTAL : BASE + SLOT_CELLS]) == 0


def test_answers_in_one_piece_and_in_several_make_one_histogram() -> None:
    """Both kinds are in both histograms, and settling twice counts nothing twice."""
    page = cells()
    counts = SlotCounts(page, BASE)

    for total, first_byte in ((700, 700), (700, 300), (90_000, 700)):
        counts.start(-1)
        counts.end(Outcome.OK, False, 0, 0, total, first_byte)
        counts.settle()
        counts.settle()

    totals = page[BASE + counters.HIST_TOTAL : BASE + counters.HIST_FIRST_BYTE].tolist()
    firsts = page[BASE + counters.HIST_FIRST_BYTE : BASE + counters.GROUPS_STARTED].tolist()
    assert (totals[bucket_index(700)], totals[bucket_index(90_000)], sum(totals)) == (2, 1, 3)
    assert (firsts[bucket_index(700)], firsts[bucket_index(300)], sum(firsts)) == (2, 1, 3)


def test_a_new_writer_goes_on_where_the_last_one_stopped() -> None:
    """A worker that takes over a page adds to what it finds there."""
    page = cells()
    for _ in range(2):
        counts = SlotCounts(page, BASE)
        counts.start(-1)
        counts.end(Outcome.OK, False, 1, 2, 100, 100)
        counts.settle()

    assert page[BASE + counters.STARTED] == page[BASE + counters.FINISHED] == 2
    assert page[BASE + counters.OUTCOME_0] == page[BASE + counters.BYTES_IN] == 2


def test_requests_of_a_key_are_counted_in_its_group_too() -> None:
    """Groups stand beside the other counts; one slot's last group does not touch the next cells."""
    page = cells()
    counts = SlotCounts(page, BASE)

    for group in (0, 63, 63):
        counts.start(group)
    counts.fail_in(63)
    counts.settle()

    assert page[BASE + counters.GROUPS_STARTED] == 1
    assert page[BASE + counters.GROUPS_STARTED + 63] == 2
    assert page[BASE + counters.GROUPS_FAILED + 63] == 1
    assert sum(page[BASE + counters.GROUPS_STARTED : BASE + counters.METRICS]) == 4
