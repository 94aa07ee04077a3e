"""Tests of the outcome classes."""

import pytest

from proxy.outcomes import (
    DEFAULT_FAILURES,
    NEUTRAL,
    OUTCOME_NAMES,
    OUTCOMES,
    Outcome,
    outcome_of_status,
    parse_outcome,
)


def test_numbers_are_dense_cell_offsets() -> None:
    """Outcome numbers are 0..15 without holes: they are offsets in pages and lists."""
    assert [outcome.value for outcome in Outcome] == list(range(OUTCOMES)) == list(range(16))


@pytest.mark.parametrize("name", OUTCOME_NAMES)
def test_every_name_parses_back(name: str) -> None:
    """What is written in configuration and metrics is read back as the same outcome."""
    assert OUTCOME_NAMES[parse_outcome(name)] == name


def test_unknown_name_lists_the_known_ones() -> None:
    """A misspelt outcome is answered with the names that exist."""
    with pytest.raises(ValueError, match=r"unknown outcome '5xx'.*upstream_5xx"):
        parse_outcome("5xx")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.OK),
        (304, Outcome.OK),
        (399, Outcome.OK),
        (400, Outcome.UPSTREAM_4XX),
        (428, Outcome.UPSTREAM_4XX),
        (429, Outcome.UPSTREAM_429),
        (430, Outcome.UPSTREAM_4XX),
        (499, Outcome.UPSTREAM_4XX),
        (500, Outcome.UPSTREAM_5XX),
        (599, Outcome.UPSTREAM_5XX),
    ],
)
def test_status_decides_the_outcome(status: int, outcome: Outcome) -> None:
    """A complete response is classed by its status alone."""
    assert outcome_of_status(status) is outcome


def test_neutral_outcomes_are_no_default_failures() -> None:
    """Who leaves, and who chose the variant, says nothing about the variant."""
    assert not NEUTRAL & DEFAULT_FAILURES
