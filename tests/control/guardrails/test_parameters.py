"""Readers of a guardrail's own parameters."""

from __future__ import annotations

from typing import Any

import pytest

from control.guardrails.base import GuardrailConfigError
from control.guardrails.parameters import factor, quantiles, refuse_unknown, share


def test_shares_and_factors_are_read() -> None:
    assert share({"max": "2%"}, "max", None) == 0.02
    assert share({}, "max", 0.5) == 0.5
    assert factor({"ratio": 2}, "ratio", 1.2) == 2.0
    assert factor({"ratio": None}, "ratio", 1.2) == 1.2


def test_quantiles_are_sorted_and_each_kept_once() -> None:
    assert quantiles({"q": ["p99.9", "p50", "p50"]}, "q", ()) == (0.5, 0.999)
    assert quantiles({"q": "p95"}, "q", ()) == (0.95,)
    assert quantiles({}, "q", (0.5,)) == (0.5,)


@pytest.mark.parametrize("value", ["p0", "p0.00001", "p99.99999", "95", "p100", "q95", 95, None, ["p50"]])
def test_what_is_no_quantile_has_its_place(value: Any) -> None:
    with pytest.raises(GuardrailConfigError, match="not a quantile") as caught:
        quantiles({"q": ["p50", value]}, "q", ())

    assert caught.value.path == ("q", 1)


@pytest.mark.parametrize("value", [True, "2", 0.99, 101, float("nan")])
def test_what_is_no_factor_is_refused(value: Any) -> None:
    with pytest.raises(GuardrailConfigError, match="not a factor"):
        factor({"max": value}, "max", 1.0)


@pytest.mark.parametrize(
    ("key", "remedy"), [("maxx", "did you mean max"), ("limit_of_errors", "use one of: max, rise")]
)
def test_an_unknown_key_gets_a_suggestion(key: str, remedy: str) -> None:
    with pytest.raises(GuardrailConfigError, match="no such key") as caught:
        refuse_unknown({key: 1}, ("rise", "max"))

    assert remedy in caught.value.remedy
