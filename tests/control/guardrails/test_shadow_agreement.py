"""Pairs of answers: too much disagreement condemns, unless the primary disagrees with itself as often."""

from __future__ import annotations

from typing import Any

import pytest

from control.guardrails.finding import Finding, Verdict
from control.guardrails.shadow_agreement import PAIRS
from control.judgement.evidence import ArmCounts
from control.judgement.observation import observe
from tests.control.feeding import Feeder

CONFIG: dict[str, Any] = {"burst": 0, "guardrails": [{"kind": "shadow_agreement", "max": "2%"}]}


def after(pairs: tuple[int, int] | None, noise: tuple[int, int] | None = None, seconds: int = 60) -> Finding:
    """Every second so many pairs are compared, and so many of them disagree."""
    watched = Feeder(CONFIG)
    for second in range(1, seconds + 1):
        watched.canary.serve(20)
        watched.control.serve(20)
        canary, control = (
            arm.counts(pairs=None if counts is None else (counts[0] * second, counts[1] * second))
            for arm, counts in ((watched.canary, pairs), (watched.control, noise))
        )
        watched.evidence = observe(
            watched.evidence, watched.plan, stage="s", canary=canary, control=control, now=float(second)
        )
        watched.now = float(second)
    return watched.analyse().findings[0]


@pytest.mark.parametrize(
    ("pairs", "noise", "verdict"),
    [
        ((50, 5), None, Verdict.FAIL),
        ((50, 0), None, Verdict.PASS),
        ((50, 5), (50, 5), Verdict.INCONCLUSIVE),
        ((50, 8), (50, 2), Verdict.FAIL),
        (None, None, Verdict.NO_DATA),
        ((0, 0), None, Verdict.NO_DATA),
    ],
)
def test_verdicts(pairs: tuple[int, int] | None, noise: tuple[int, int] | None, verdict: Verdict) -> None:
    found = after(pairs, noise)

    assert found.verdict is verdict
    if verdict is Verdict.FAIL:
        assert "the shadow disagreed in" in found.reason
        assert "above the limit of 2.00 %" in found.reason


def test_pairs_go_on_from_stage_to_stage() -> None:
    """A stage that begins takes in none twice, and those that came between the last look and its first."""
    watched = Feeder(CONFIG)
    for second, (stage, pairs) in enumerate([("s", 100), ("s", 200), ("t", 230), ("t", 300)], start=1):
        for _ in range(2):
            watched.evidence = observe(
                watched.evidence,
                watched.plan,
                stage=stage,
                canary=ArmCounts(started=20 * second, finished=20 * second, pairs=(pairs, pairs // 10)),
                control=ArmCounts(started=20 * second, finished=20 * second),
                now=11.0 * second,
            )

    tally = watched.evidence.tally(PAIRS.key)
    assert (tally.n_canary, tally.x_canary) == (300, 30)
