"""The beginning of each step: left out of the judgement, never passed unjudged, and no place to hide in."""

from __future__ import annotations

import pytest

from control.guardrails.finding import Verdict
from tests.control.feeding import Feeder

PLAN = {
    "burst": "30s",
    "steps": ["50%", "100%"],
    "guardrails": [{"kind": "error_rate_rise"}, {"kind": "latency_ratio", "quantiles": ["p50"]}],
}


def fed(warm_up: dict[str, object] | None, *, burst: str = "30s", failing: int = 3) -> Feeder:
    """A canary whose first forty requests fail or are slow, and all others are well."""
    more = {} if warm_up is None else {"warm_up": warm_up}
    watched = Feeder({**PLAN, "burst": burst, **more})
    for _ in range(4):
        watched.canary.serve(10, failing, slow=10 - failing, slow_s=2.0)
        watched.control.serve(10)
        watched.report()
    for _ in range(60):
        watched.tick(60, 60)
    return watched


@pytest.mark.parametrize("burst", ["0s", "30s"])
@pytest.mark.parametrize("warm_up", [{"requests": 40}, {"duration": "5s"}])
def test_what_happens_while_it_lasts_is_not_judged(warm_up: dict[str, object], burst: str) -> None:
    """Failures and slow answers of the warm-up are neither counted nor bet on; without one they are."""
    warm, cold = fed(warm_up, burst=burst, failing=8), fed(None)

    for event in warm.plan.events:
        assert warm.evidence.tally(event.key).x_canary == 0, event
    assert warm.analyse(0).verdict is Verdict.PASS
    assert cold.analyse(0).verdict is Verdict.INCONCLUSIVE
    assert cold.evidence.tally("failure").x_canary == 12


def test_a_step_is_not_passed_before_it_is_over() -> None:
    """What earlier steps have shown does not carry a canary over a step that nobody has judged yet."""
    watched = fed({"requests": 40})
    watched.begin("r:1:2")
    watched.tick(20, 20)

    analysis = watched.analyse(1)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert analysis.reason == "the canary is warming up at this step: 20 of 40 requests answered"

    watched.tick(20, 20)
    watched.tick(20, 20)
    assert watched.analyse(1).verdict is Verdict.PASS


def test_a_canary_that_fails_does_not_warm_up_for_ever() -> None:
    """Diverted to a probe a second it would never answer enough: after `burst` it is judged."""
    watched = Feeder({**PLAN, "warm_up": {"requests": 10_000}})
    for _ in range(29):
        watched.tick(1, 30, 1)
    assert watched.evidence.tally("failure").n_canary == 0
    assert watched.analyse(0).verdict is Verdict.INCONCLUSIVE

    for _ in range(25):
        watched.tick(1, 30, 1)

    assert watched.evidence.tally("failure").x_canary > 0
    analysis = watched.analyse(0)
    assert analysis.verdict is Verdict.FAIL
    assert analysis.culprits == ("breaker",)


def test_a_time_that_is_given_is_granted() -> None:
    """A model that takes two minutes to load fails for as long, and is judged from then on."""
    watched = Feeder({**PLAN, "warm_up": {"duration": "2m"}})
    for _ in range(119):
        watched.tick(1, 30, 1)
    assert watched.evidence.tally("failure").x_canary == 0
    for _ in range(60):
        watched.tick(60, 60)

    assert watched.analyse(0).verdict is Verdict.PASS
