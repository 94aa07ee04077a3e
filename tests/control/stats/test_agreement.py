"""Agreement of a shadow with the primary."""

from __future__ import annotations

import math

import pytest

from control.stats.agreement import agreement


def test_evidence_points_where_the_rate_is() -> None:
    good, bad = agreement(2000, 4, 0.01, 0.05), agreement(2000, 60, 0.01, 0.05)

    assert good.log_e_below > math.log(20) > good.log_e_above
    assert bad.log_e_above > math.log(100) > bad.log_e_below
    assert good.low <= 4 / 2000 <= good.high < 0.01 < bad.low


def test_nothing_compared_says_nothing() -> None:
    nothing = agreement(0, 0, 0.01, 0.05)

    assert (nothing.low, nothing.high) == (0.0, 1.0)
    assert nothing.log_e_above == pytest.approx(0.0)
    assert nothing.log_e_below == pytest.approx(0.0)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot disagree"):
        agreement(10, 11, 0.01, 0.05)
