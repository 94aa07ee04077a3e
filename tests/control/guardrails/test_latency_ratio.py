"""Time to the last byte."""

from __future__ import annotations

from control.guardrails.latency_ratio import LatencyRatio
from control.stats.events import Source
from tests.control.feeding import Feeder


def test_it_reads_the_histogram_of_total_times() -> None:
    """A canary with late last bytes only is found by this kind."""
    watched = Feeder({"burst": 0, "guardrails": [{"kind": "latency_ratio", "quantiles": ["p50"], "max": 1}]})
    for _ in range(30):
        watched.canary.serve(50, slow=40)
        watched.control.serve(50)
        watched.report()

    assert LatencyRatio.source is Source.TOTAL
    assert watched.analyse().culprits == ("latency_ratio",)
