"""The verdict that two e-values give."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from control.guardrails.base import verdict_of
from control.guardrails.figures import measure, remaining
from control.guardrails.finding import NOTHING, Verdict
from control.judgement.evidence import Evidence
from control.judgement.view import EvidenceView
from control.stats.events import FAILURE
from control.stats.overdispersion import NO_PHI
from tests.control.feeding import Feeder

VIEW = Feeder({"alpha": 0.01, "alpha_promote": 0.05}).view()
HARM, SAFE = math.log(100.0), math.log(20.0)


@pytest.mark.parametrize(
    ("log_e", "weight", "log_e_safe", "data", "verdict"),
    [
        (HARM + 1, 1.0, 0.0, True, Verdict.FAIL),
        # Harm is never outweighed by the absence of harm, which has a margin.
        (HARM + 1, 1.0, SAFE + 9, True, Verdict.FAIL),
        (HARM + 1, 0.1, 0.0, True, Verdict.INCONCLUSIVE),
        (0.0, 1.0, SAFE + 0.1, True, Verdict.PASS),
        (0.0, 1.0, SAFE - 0.1, True, Verdict.INCONCLUSIVE),
        # Harm that has been seen suffices where something else that was asked for has not.
        (HARM + 1, 1.0, 0.0, False, Verdict.FAIL),
        (0.0, 1.0, SAFE + 9, False, Verdict.NO_DATA),
        (HARM + 1, 0.0, 0.0, True, Verdict.INCONCLUSIVE),
    ],
)
def test_harm_first_then_missing_data_then_its_absence(
    log_e: float, weight: float, log_e_safe: float, data: bool, verdict: Verdict
) -> None:
    assert verdict_of(VIEW, log_e=log_e, weight=weight, log_e_safe=log_e_safe, data=data) is verdict


def test_figures_have_intervals_or_are_nothing() -> None:
    found = measure(3, 100)

    assert measure(0, 0) == NOTHING
    assert found.value == 0.03
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.03 < found.high


def test_what_is_left_shrinks_with_the_evidence() -> None:
    """From everything to nothing; evidence to the contrary adds to it."""

    def left(total: float, log_e_safe: float) -> int | None:
        return remaining(total, log_e_safe, VIEW, FAILURE)

    assert left(1000.0, 0.0) == 1000
    assert left(1000.0, SAFE / 2) == 500
    assert left(1000.0, SAFE) == 0
    assert (left(1000.0, -SAFE) or 0) == 2000
    assert left(math.inf, 0.0) is None


def test_unequal_keys_take_as_many_more_requests() -> None:
    """What evidence is divided by is what requests have to be multiplied by."""
    evidence = replace(Evidence.empty(), phi=(3.0, *NO_PHI[1:]))

    assert remaining(1000.0, 0.0, EvidenceView(evidence, VIEW.plan), FAILURE) == 3000
