"""The canary must not fail more often than control."""

from __future__ import annotations

import math
from typing import Any

import pytest

from control.guardrails.base import Defaults, GuardrailConfigError
from control.guardrails.error_rate_rise import ErrorRateRise
from control.guardrails.finding import Finding, Mode, Verdict
from tests.control.feeding import Feeder

QUICK = {"burst": 0, "alpha": 0.01, "alpha_promote": 0.05}


def finding(feeder: Feeder, step: int | None = None) -> Finding:
    (guardrail,) = feeder.plan.guardrails
    return guardrail.judge(feeder.view(step), 1.0)


def feeder(**parameters: Any) -> Feeder:
    return Feeder({**QUICK, "guardrails": [{"kind": "error_rate_rise", **parameters}]})


def test_more_failures_than_control_fail() -> None:
    """Verdict, figures, blame and a sentence with the numbers."""
    watched = feeder()
    for _ in range(40):
        watched.tick(50, 50, 4, 1)

    found = finding(watched)

    assert found.verdict is Verdict.FAIL
    assert found.blamed
    assert found.log_e >= math.log(100)
    assert (found.canary.events, found.canary.n, found.control.events) == (160, 2000, 40)
    assert found.ratio.value == pytest.approx(4.0)
    assert found.ratio.low is not None
    assert found.ratio.low > 1.0
    assert found.difference.value == pytest.approx(0.06)
    assert found.difference.low is not None
    assert found.difference.low > 0.0
    assert "canary failed 160 of 2000 (8.00 %), control 40 of 2000 (2.00 %)" in found.reason


def test_an_equal_canary_passes_when_there_is_enough_of_it() -> None:
    """First undecided with the number of requests that are missing, which falls; then shown."""
    watched = feeder()
    missing = []
    found = finding(watched)
    for _ in range(400):
        watched.tick(50, 50, 0, 0)
        found = finding(watched)
        if found.verdict is not Verdict.INCONCLUSIVE:
            break
        missing.append(found.needed)

    assert found.verdict is Verdict.PASS
    assert found.needed == 0
    assert missing == sorted(missing, key=lambda n: -(n or 0))
    # What was announced after six seconds was right within a factor of three.
    assert missing[5] is not None
    assert missing[5] / 3 <= found.canary.n - 300 <= missing[5] * 3


def test_early_steps_ask_for_less() -> None:
    """The same data satisfy a looser margin first."""
    watched = Feeder(
        {**QUICK, "steps": ["5%", "10%", "50%", "100%"], "guardrails": [{"kind": "error_rate_rise"}]}
    )
    for _ in range(5):
        watched.tick(50, 50, 0, 0)

    assert finding(watched, step=0).verdict is Verdict.PASS
    assert finding(watched, step=2).verdict is Verdict.INCONCLUSIVE
    assert finding(watched, step=3).verdict is Verdict.INCONCLUSIVE


def test_no_data_is_neither_a_pass_nor_a_zero() -> None:
    """Without canary or without control requests there is nothing to say."""
    watched = feeder()
    assert finding(watched).verdict is Verdict.NO_DATA
    assert finding(watched).canary.value is None
    watched.tick(100, 0)

    found = finding(watched)

    assert found.verdict is Verdict.NO_DATA
    assert "no control request" in found.reason


@pytest.mark.parametrize(("way", "said"), [((0, 1), "no canary request"), ((1, 0), "no control request")])
def test_one_arm_alone_asks_whether_all_requests_have_one_key(way: tuple[int, int], said: str) -> None:
    """Behind another proxy all clients have its address, so all of them go one way; not so at 100 %."""
    for share in (0.5, None):
        watched = feeder()
        for n, asks in ((30, False), (60, share is not None)):
            watched.tick(30 * way[0], 30 * way[1], share=share)
            reason = finding(watched).reason
            assert said in reason
            assert (f"and {n} of " in reason and "the same key?" in reason) == asks


def test_a_sure_but_tiny_difference_never_rolls_back() -> None:
    """With a hundred million requests one more failure in ten thousand is certain, and not worth it."""
    watched = feeder()
    for _ in range(30):
        watched.tick(3_000_000, 3_000_000, 600, 300)
    strict = feeder(notable_ratio=1.0, notable_rise=0.0)
    strict.now, strict.evidence = watched.now, watched.evidence

    assert finding(strict).verdict is Verdict.FAIL
    assert finding(watched).verdict is Verdict.PASS
    assert finding(watched).log_e <= 0.0


def test_a_tolerated_rise_is_no_harm() -> None:
    """With a margin for rollback, harm within it is not held against the canary."""
    lenient, strict = feeder(rollback_rise="5%"), feeder()
    for watched in (lenient, strict):
        for _ in range(60):
            watched.tick(50, 50, 2, 1)

    assert finding(strict).verdict is Verdict.FAIL
    assert finding(lenient).verdict is not Verdict.FAIL


@pytest.mark.parametrize(
    ("parameters", "path", "problem"),
    [
        ({"promote_ratio": 0.5}, ("promote_ratio",), "not a factor"),
        ({"promote_rise": "150%"}, ("promote_rise",), "outside"),
        ({"promte_rise": 0.01}, ("promte_rise",), "no such key"),
        ({"promote_ratio": 1, "promote_rise": 0}, ("promote_ratio",), "undecided for ever"),
    ],
)
def test_unusable_parameters_are_named(
    parameters: dict[str, Any], path: tuple[str, ...], problem: str
) -> None:
    """Place, problem and what would do."""
    with pytest.raises(GuardrailConfigError, match=problem) as caught:
        ErrorRateRise.from_config(parameters, name="x", mode=Mode.ENFORCE, defaults=Defaults())

    assert caught.value.path == path
    assert caught.value.remedy
