"""The arms must get the share that was set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from control.guardrails.finding import Finding, Verdict
from control.judgement.observation import observe
from control.plans.plan import RolloutPlan
from tests.control.feeding import Feeder

CONFIG = {"guardrails": [{"kind": "sample_ratio"}]}


def finding(feeder: Feeder) -> Finding:
    (guardrail,) = feeder.plan.guardrails
    return guardrail.judge(feeder.view(), 1.0)


def test_a_mismatch_holds_and_does_not_roll_back() -> None:
    """A canary that gets a third less than control is a broken comparison, not a bad canary."""
    watched = Feeder(CONFIG)
    for _ in range(60):
        watched.tick(30, 45, share=0.5)

    found = finding(watched)
    analysis = watched.analyse()

    assert found.verdict is Verdict.FAIL
    assert found.holds
    assert found.weight == 0.0
    assert analysis.verdict is not Verdict.FAIL
    assert analysis.hold_code == "sample_ratio"
    assert "the comparison is broken" in analysis.hold


def test_the_set_share_passes() -> None:
    rng = np.random.default_rng(1)
    watched = Feeder(CONFIG)
    for _ in range(200):
        watched.tick(int(rng.poisson(20)), int(rng.poisson(20)), share=0.5)

    assert finding(watched).verdict is Verdict.PASS
    assert "where 50.0 % was set" in finding(watched).reason


def test_mismatches_of_several_stages_add_up() -> None:
    """Each stage has its own share; their evidence multiplies."""
    watched = Feeder(CONFIG)
    for stage in range(4):
        watched.begin(f"r:{stage}:{stage}")
        for _ in range(30):
            watched.tick(40, 49, share=0.5)
    single = Feeder(CONFIG)
    for _ in range(30):
        single.tick(40, 49, share=0.5)

    assert finding(watched).log_e > 3 * finding(single).log_e > 0


def test_without_a_set_share_there_is_no_data() -> None:
    watched = Feeder(CONFIG)
    for _ in range(10):
        watched.tick(50, 50)

    assert finding(watched).verdict is Verdict.NO_DATA


def test_diverted_requests_are_left_out() -> None:
    """While the workers divert, the canary is meant to get less."""
    watched = Feeder(CONFIG)
    for _ in range(60):
        watched.canary.diverted += 40
        watched.tick(5, 45, share=0.5)

    assert finding(watched).verdict is not Verdict.FAIL
    assert watched.analyse().diverted == 2400


def keyed(requests: list[int]) -> dict[str, Any]:
    """Requests by group of keys, as a route that assigns by a key counts them."""
    groups = np.zeros((8, 64), dtype=np.int64)
    groups[0] = requests
    return {"groups": groups}


def test_without_groups_of_keys_a_sticky_route_has_no_data() -> None:
    """Requests of one user go one way together, so requests are not what may be counted."""
    watched = Feeder(RolloutPlan.from_config(CONFIG, sticky=True))
    for _ in range(60):
        watched.tick(30, 45, share=0.5)

    assert finding(watched).verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("spread", "verdict"),
    [
        # Every group gets two requests of the canary for three of control: many users, and a mismatch.
        ([(20, 30)] * 64, Verdict.FAIL),
        # The same sums, from groups that go one way nearly as a whole: so few users show nothing.
        ([(50, 0), (0, 50), (0, 50), (30, 20)] * 16, Verdict.PASS),
    ],
)
def test_under_sticky_routing_users_are_what_is_counted(
    spread: list[tuple[int, int]], verdict: Verdict
) -> None:
    plan = RolloutPlan.from_config(CONFIG, sticky=True)
    watched = Feeder(plan)
    canary, control = [pair[0] for pair in spread], [pair[1] for pair in spread]
    assert (sum(canary), sum(control)) == (1280, 1920)
    watched.canary.serve(1280)
    watched.control.serve(1920)
    watched.evidence = observe(
        watched.evidence,
        plan,
        stage="r:0:1",
        canary=watched.canary.counts(**keyed(canary)),
        control=watched.control.counts(**keyed(control)),
        now=1.0,
        share=0.5,
    )

    assert finding(watched).verdict is verdict
