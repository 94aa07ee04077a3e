"""Streams of tokens: the time to the first one, and the time for each."""

from __future__ import annotations

import numpy as np
import pytest

from config.routes import Route
from control.guardrails.finding import Verdict
from control.guardrails.first_token_ratio import FirstTokenRatio
from control.guardrails.token_time_ratio import TokenTimeRatio
from control.judgement.analysis import Analysis, analyse
from control.judgement.evidence import ArmCounts, Evidence
from control.judgement.observation import observe
from control.plans.plan import RolloutPlan
from control.plans.stream_guardrails import stream_problems
from control.stats.events import Source
from proxy.histogram import BUCKETS
from tests.control.feeding import bucket

KINDS = ("first_token_ratio", "token_time_ratio")


def judged(canary: tuple[float, float], control: tuple[float, float], streams: int = 20) -> Analysis:
    """What is found when so many of fifty requests a second stream; seconds to the first token, for each."""
    plan = RolloutPlan.from_config(
        {"burst": 0, "guardrails": [{"kind": kind, "quantiles": ["p50"], "max": 1} for kind in KINDS]}
    )
    evidence = Evidence.empty()
    for second in range(1, 60):
        evidence = observe(
            evidence,
            plan,
            stage="r:0:1",
            canary=arm(second, streams, *canary),
            control=arm(second, streams, *control),
            now=float(second),
        )
    return analyse(evidence, plan, 60.0)


def arm(second: int, streams: int, first_s: float, token_s: float) -> ArmCounts:
    total, first_token, token_time = (np.zeros(BUCKETS, dtype=np.int64) for _ in range(3))
    total[bucket(1.0)] = 50 * second
    first_token[bucket(first_s)] = streams * second
    token_time[bucket(token_s)] = streams * second
    return ArmCounts(
        started=50 * second,
        finished=50 * second,
        total=total,
        first_byte=total,
        first_token=first_token,
        token_time=token_time,
    )


@pytest.mark.parametrize(
    ("canary", "culprit", "words"),
    [
        ((0.4, 0.01), "first_token_ratio", "time to the first token"),
        ((0.1, 0.03), "token_time_ratio", "time for a token"),
    ],
)
def test_each_reads_its_own_histogram(canary: tuple[float, float], culprit: str, words: str) -> None:
    """The first and the last byte are as early as control's; only streams are asked."""
    analysis = judged(canary, (0.1, 0.01))

    assert (FirstTokenRatio.source, TokenTimeRatio.source) == (Source.FIRST_TOKEN, Source.TOKEN_TIME)
    assert analysis.culprits == (culprit,)
    found = {finding.name: finding for finding in analysis.findings}
    assert found[culprit].verdict is Verdict.FAIL
    assert words in found[culprit].reason
    canary_s = found[culprit].canary.value
    assert canary_s == pytest.approx(canary[culprit == "token_time_ratio"], rel=0.05)
    (other,) = set(KINDS) - {culprit}
    assert found[other].verdict is not Verdict.FAIL


def test_without_streams_there_is_no_data() -> None:
    assert {finding.verdict for finding in judged((0.4, 0.4), (0.1, 0.1), streams=0).findings} == {
        Verdict.NO_DATA
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_route_has_to_look_at_its_streams(kind: str) -> None:
    """Otherwise the rollout would wait for data that cannot come."""
    written = {
        "name": "chat",
        "split": {"kind": "canary", "stable": "v1", "canary": "v2"},
        "rollout": {"guardrails": [{"kind": "error_rate_rise"}, {"kind": kind}]},
    }
    (problem,) = stream_problems(Route.model_validate(written))

    assert problem.path == ("guardrails", 1, "kind")
    assert "streams: {format: openai}" in problem.remedy
    assert stream_problems(Route.model_validate(written | {"streams": {"format": "openai"}})) == []
