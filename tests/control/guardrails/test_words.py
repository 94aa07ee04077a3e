"""Numbers as a person reads them."""

from __future__ import annotations

import math

import pytest

from control.guardrails.words import about, e_value, percent, rate, seconds


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.5, "50.0 %"), (0.0123, "1.23 %"), (0.00012, "0.012 %"), (0.0, "0.000 %"), (None, "nothing")],
)
def test_shares(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_rates_and_latencies() -> None:
    assert rate(3, 200) == "3 of 200 (1.50 %)"
    assert rate(0, 0) == "0 of 0 (nothing)"
    assert seconds(0.0512) == "51.2 ms"
    assert seconds(2.5) == "2.5 s"
    assert seconds(None) == "nothing"


def test_e_values_stay_readable() -> None:
    assert e_value(math.log(33.7)) == "33.7"
    assert e_value(5000.0) == "1e2171"


@pytest.mark.parametrize(("exact", "shown"), [(0.2, 1), (47.0, 47), (812.3, 820), (12_345.0, 13_000)])
def test_numbers_of_requests_have_two_digits_and_are_never_too_small(exact: float, shown: int) -> None:
    assert about(exact) == shown


def test_what_never_ends_has_no_number() -> None:
    assert about(math.inf) is None
    assert about(1e15) is None
    assert about(-3.0) == 0
