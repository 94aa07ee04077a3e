"""The likeness of texts, against the table that every textbook has."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from proxy.compare.texts import UNITS_MAX, distance, similarity

words = st.text("ab c", max_size=30)


def by_table(first: str, second: str) -> int:
    """Wagner and Fischer's dynamic programme."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(words, words)
def test_the_distance_is_levenshteins(first: str, second: str) -> None:
    """The bit-parallel form gives what the table gives, both ways round."""
    assert distance(first, second) == distance(second, first) == by_table(first, second)


@given(words, words)
def test_likeness_is_between_0_and_1_symmetric_and_1_for_the_same(first: str, second: str) -> None:
    """As its name says."""
    assert 0.0 <= similarity(first, second) <= 1.0
    assert similarity(first, second) == similarity(second, first)
    assert similarity(first, first.upper() + " ") == 1.0


def test_long_texts_take_bounded_time() -> None:
    """A megabyte against another: word by word, and no more of them than allowed."""
    first, second = "one two three " * 80_000, "one two four " * 80_000
    began = time.process_time()

    alike = similarity(first, second)

    assert 0.6 < alike < 0.7
    assert time.process_time() - began < 5
    assert len(first) > 100 * UNITS_MAX
