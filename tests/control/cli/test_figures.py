"""Numbers are shown so that they cannot be misread."""

from __future__ import annotations

import math

import pytest

from control.cli import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (0.05, "5 %"),
        (0.0512, "5.12 %"),
        (0.0001, "0.01 %"),
        (1.0, "100 %"),
        (0.333333, "33.33 %"),
    ],
)
def test_shares(value: float | None, text: str) -> None:
    """A missing share is a dash, never 0 %."""
    assert figures.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (7260, "2 h 1 min"),
        (90000, "1 d 1 h"),
        (-1, "0 s"),
    ],
)
def test_durations(value: float, text: str) -> None:
    """At most two units."""
    assert figures.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.0005, "0.5 ms"), (0.25, "250 ms"), (1.5, "1.5 s"), (600, "10 min")]
)
def test_latencies(value: float | None, text: str) -> None:
    """The unit follows the size."""
    assert figures.seconds(value) == text


@pytest.mark.parametrize(
    ("log_e", "text"),
    [
        (0.0, "1"),
        (math.log(312), "312"),
        (math.log(12345), "12345"),
        (900.0, "over 1 000 000"),
        (-800.0, "0"),
    ],
)
def test_evidence(log_e: float, text: str) -> None:
    """Neither overflow nor meaningless digits."""
    assert figures.evidence(log_e) == text


def test_a_measure_carries_its_interval_and_counts() -> None:
    """Value, interval and what it was counted from stand together."""
    found = {"value": 0.052, "low": 0.03, "high": 0.08, "n": 440, "events": 23}

    assert figures.measure(found, "share") == "5.2 % [3 %, 8 %] 23/440"
    assert figures.measure({"value": None, "n": 0}, "share") == "no data"
    assert (
        figures.measure({"value": 0.25, "low": None, "high": 0.3, "n": 9}, "seconds") == "250 ms [-, 300 ms]"
    )
    assert figures.measure({"value": 0.25, "low": 0.2, "high": 593.2}, "seconds") == "250 ms [200 ms, -]"


def test_limits_have_the_guardrails_own_unit() -> None:
    """A share of requests, or a factor on control's latency."""
    assert figures.limit(0.01, "share") == "1 %"
    assert figures.limit(1.5, "seconds") == "x 1.5"
    assert figures.limit(None, "share") == "-"


def test_moments_are_utc_and_relative() -> None:
    """Both what a log says and what a person wants to know."""
    assert figures.moment(0.0, now=90.0) == "1970-01-01 00:00:00 UTC (1 min 30 s ago)"
    assert figures.moment(100.0, now=90.0) == "1970-01-01 00:01:40 UTC"
    assert figures.moment(None) == "-"
