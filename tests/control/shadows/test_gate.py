"""The gate from shadow to canary: pass, fail and undecided, and how often it is wrong."""

from __future__ import annotations

import random

import pytest

from control.guardrails.finding import Verdict
from control.shadows.counts import ShadowTotals, compared
from control.shadows.gate import ShadowGate, median_ratio
from proxy.compare.tallies import ratio_bucket
from tests.helpers.pairs import comparison

KEY = ("fraud", "v2", "shadow", "s")
GATE = ShadowGate(shadow="v2", agreement=0.99, latency_ratio=1.5, requests=0)


def totals(*, agree: int, differ: int = 0, ratio: float = 1.0) -> ShadowTotals:
    """What so many pairs add up to."""
    return ShadowTotals(compared(comparison(KEY, agree=agree, differ=differ, ratio=ratio)))


def verdict(found: ShadowTotals, gate: ShadowGate = GATE) -> Verdict:
    """With the budgets of the balanced preset."""
    return gate.verdict(found, alpha=0.01, alpha_promote=0.05).verdict


def test_no_pair_is_no_data() -> None:
    """Never a pass."""
    finding = GATE.verdict(totals(agree=0), alpha=0.01, alpha_promote=0.05)

    assert finding.verdict is Verdict.NO_DATA
    assert finding.reason == "no pair was compared yet"


def test_enough_agreement_passes_and_too_little_data_says_how_much_is_missing() -> None:
    """300 flawless pairs do not show 99 %, 1 000 do; the estimate leads there."""
    early = GATE.verdict(totals(agree=300), alpha=0.01, alpha_promote=0.05)

    assert early.verdict is Verdict.INCONCLUSIVE
    assert "more pairs are needed" in early.reason
    assert verdict(totals(agree=1000)) is Verdict.PASS


def test_disagreement_beyond_the_target_fails() -> None:
    """5 % against an allowed 1 %."""
    finding = GATE.verdict(totals(agree=380, differ=20), alpha=0.01, alpha_promote=0.05)

    assert finding.verdict is Verdict.FAIL
    assert "95.00% of 400 pairs agree" in finding.reason


@pytest.mark.parametrize(
    ("ratio", "wanted"), [(1.0, Verdict.PASS), (1.4, Verdict.PASS), (1.7, Verdict.FAIL), (4.0, Verdict.FAIL)]
)
def test_the_median_ratio_is_held_against_the_limit(ratio: float, wanted: Verdict) -> None:
    """Agreement alone is not enough."""
    assert verdict(totals(agree=1000, ratio=ratio)) is wanted


def test_latency_is_not_asked_for_with_a_limit_of_0() -> None:
    """Then only agreement counts."""
    assert verdict(totals(agree=1000, ratio=9.0), ShadowGate(shadow="v2", latency_ratio=0.0)) is Verdict.PASS


def test_the_least_number_of_pairs_is_waited_for() -> None:
    """However clear the evidence is."""
    gate = ShadowGate(shadow="v2", requests=2000)

    assert verdict(totals(agree=1000), gate) is Verdict.INCONCLUSIVE
    assert verdict(totals(agree=2000), gate) is Verdict.PASS


def test_the_median_ratio_is_within_a_bucket() -> None:
    """2.2 % at most."""
    for ratio in (0.25, 1.0, 1.37, 8.0):
        found = median_ratio(totals(agree=10, ratio=ratio))

        assert found == pytest.approx(ratio, rel=0.025)
    assert ratio_bucket(0, 0) == ratio_bucket(1, 1)


def test_a_shadow_at_the_limit_seldom_passes_however_often_it_is_looked_at() -> None:
    """400 shadows that disagree in exactly 1 % of pairs, looked at every 25 of 3 000 pairs.

    At most 5 % may pass: 20 expected at most; a correct test exceeds 34 once in a thousand seeds.
    """
    draw = random.Random(5)
    passed = 0
    for _ in range(400):
        agreed = differed = 0
        for _ in range(120):
            bad = sum(draw.random() < 0.01 for _ in range(25))
            agreed, differed = agreed + 25 - bad, differed + bad
            values = {"compared": agreed + differed, "agreed": agreed}
            gate = ShadowGate(shadow="v2", latency_ratio=0.0)
            if verdict(ShadowTotals(values), gate) is Verdict.PASS:
                passed += 1
                break

    assert passed <= 34
