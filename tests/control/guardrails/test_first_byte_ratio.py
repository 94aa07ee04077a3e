"""Time to the first byte."""

from __future__ import annotations

import numpy as np

from control.guardrails.finding import Verdict
from control.guardrails.first_byte_ratio import FirstByteRatio
from control.judgement.analysis import analyse
from control.judgement.evidence import ArmCounts, Evidence
from control.judgement.observation import observe
from control.plans.plan import RolloutPlan
from control.stats.events import Source
from proxy.histogram import BUCKETS
from tests.control.feeding import bucket


def test_it_reads_the_histogram_of_first_bytes() -> None:
    """Late first bytes are found although the last ones are as early as control's."""
    plan = RolloutPlan.from_config(
        {
            "burst": 0,
            "guardrails": [
                {"kind": "first_byte_ratio", "quantiles": ["p50"], "max": 1},
                {"kind": "latency_ratio", "quantiles": ["p50"], "max": 1},
            ],
        }
    )
    evidence = Evidence.empty()
    for second in range(1, 40):
        evidence = observe(
            evidence,
            plan,
            stage="r:0:1",
            canary=_arm(50 * second, first_byte_s=0.2),
            control=_arm(50 * second, first_byte_s=0.05),
            now=float(second),
        )

    analysis = analyse(evidence, plan, 40.0)

    assert FirstByteRatio.source is Source.FIRST_BYTE
    assert analysis.culprits == ("first_byte_ratio",)
    assert analysis.findings[1].verdict is not Verdict.FAIL


def _arm(n: int, first_byte_s: float) -> ArmCounts:
    total, first_byte = (np.zeros(BUCKETS, dtype=np.int64) for _ in range(2))
    total[bucket(0.3)] = n
    first_byte[bucket(first_byte_s)] = n
    return ArmCounts(started=n, finished=n, total=total, first_byte=first_byte)
