"""Classical intervals against statsmodels, and their shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_ztest,
)

from control.stats.intervals import newcombe, one_look, quantile_of_normal, wald, wilson, z_test

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
CONFIDENCES = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@given(COUNTS, CONFIDENCES)
def test_wilson_equals_statsmodels(count: tuple[int, int], confidence: float) -> None:
    expected = proportion_confint(*count, alpha=1 - confidence, method="wilson")

    assert wilson(*count, confidence) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(COUNTS, COUNTS, CONFIDENCES)
def test_difference_intervals_equal_statsmodels(
    canary: tuple[int, int], control: tuple[int, int], confidence: float
) -> None:
    for ours, method in ((newcombe, "newcomb"), (wald, "wald")):
        expected = confint_proportions_2indep(*canary, *control, method=method, alpha=1 - confidence)

        assert ours(*canary, *control, confidence) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(COUNTS, COUNTS)
def test_z_test_equals_statsmodels(canary: tuple[int, int], control: tuple[int, int]) -> None:
    test = z_test(*canary, *control)
    if test is None:
        assert canary[0] + control[0] in (0, canary[1] + control[1])
        return

    z, p = proportions_ztest([canary[0], control[0]], [canary[1], control[1]])

    assert (test.z, test.p) == pytest.approx((z, p), rel=1e-9, abs=1e-12)


@given(COUNTS)
def test_wider_confidence_contains_narrower(count: tuple[int, int]) -> None:
    """Nested in the level, and 0.90 is not silently 0.99."""
    narrow, wide = wilson(*count, 0.9), wilson(*count, 0.99)

    assert wide[0] <= narrow[0] <= count[0] / count[1] <= narrow[1] <= wide[1]
    assert narrow != wide


@given(COUNTS)
def test_wilson_is_symmetric_in_success_and_failure(count: tuple[int, int]) -> None:
    low, high = wilson(*count)
    other_low, other_high = wilson(count[1] - count[0], count[1])

    assert (1 - other_high, 1 - other_low) == pytest.approx((low, high), abs=1e-12)


def test_no_data_is_no_knowledge() -> None:
    """Never a zero, never a narrow interval."""
    assert wilson(0, 0) == (0.0, 1.0)
    assert newcombe(0, 0, 1, 10) == (-1.0, 1.0)
    assert wald(0, 5, 1, 0) == (-1.0, 1.0)
    assert z_test(0, 0, 1, 10) is None
    assert z_test(0, 10, 0, 10) is None


def test_billion_requests_keep_their_digits() -> None:
    """The interval around one in a million is still around one in a million."""
    low, high = wilson(1000, 10**9)

    assert low == pytest.approx(9.4e-7, rel=1e-2)
    assert high == pytest.approx(1.064e-6, rel=1e-2)


def test_one_look_carries_its_warning() -> None:
    """What is shown says that it must not be watched."""
    shown = one_look(12, 500, 150, 9500)

    assert "one look only" in shown["label"]
    assert shown["p"] == pytest.approx(0.156352, rel=1e-5)
    assert shown["canary"] == {"n": 500, "x": 12, "wilson": list(wilson(12, 500))}
    assert one_look(0, 10, 0, 10)["z"] is None


def test_confidence_must_be_a_share() -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        quantile_of_normal(1.0)
