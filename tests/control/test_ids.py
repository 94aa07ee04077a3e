"""Identifiers: ordered, distinct, readable."""

import re
import threading

from control.ids import new_id


def test_identifiers_sort_in_the_order_they_were_made() -> None:
    """A list by identifier is a list by time, also within one millisecond."""
    made = [new_id("d") for _ in range(5000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_threads_never_make_the_same_identifier() -> None:
    """Known defect of the module this replaces: ids of one second were the same."""
    made: list[str] = []

    def make() -> None:
        made.extend([new_id("d") for _ in range(1000)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 8000


def test_an_identifier_can_be_read_aloud() -> None:
    """A prefix that says what it is, then 26 characters without l, i, o and u."""
    assert re.fullmatch(r"r-[0-9a-hjkmnp-tv-z]{26}", new_id("r"))
