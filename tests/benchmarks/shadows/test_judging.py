"""What the benchmark of shadows makes of its rounds."""

from __future__ import annotations

import random

import pytest

from benchmarks.load.slices import Slice
from benchmarks.shadows.judging import Round, judge, markdown

DUE = 1000.0


def one(p99_us: float, rate: float = DUE) -> Slice:
    """A slice with this p99, half of it as median."""
    return Slice(
        workload="w",
        peer="p",
        round=0,
        seconds=1.0,
        count=round(rate),
        failures=0,
        cpu_us=30.0,
        rss_bytes=0,
        load_cpu_share=0.1,
        p50_us=p99_us / 2,
        p90_us=p99_us,
        p99_us=p99_us,
        p999_us=p99_us,
    )


def rounds(factor: float, count: int = 20, seed: int = 1) -> list[Round]:
    """Rounds of a machine that is twice as slow at times, and a shadow that makes `factor` of the p99."""
    draw = random.Random(seed)

    def noise() -> float:
        return draw.lognormvariate(0, 0.2)

    machine = [draw.lognormvariate(6, 0.7) for _ in range(count)]
    return [
        Round(without=one(m * noise()), again=one(m * noise()), beside=one(m * factor * noise()), due=DUE)
        for m in machine
    ]


def test_a_shadow_that_hurts_is_told_from_one_that_does_not() -> None:
    """Although the machine moves p99 by more than the shadow does."""
    found = judge({"harmless": rounds(1.0), "bad": rounds(2.0, seed=2)})

    harmless, bad = found["shadows"]["harmless"], found["shadows"]["bad"]
    assert not harmless["slower"]
    assert harmless["p99_us"]["low"] < 1.0 < harmless["p99_us"]["high"]
    assert harmless["chance"] > 0.05
    assert bad["slower"]
    assert 1.6 < bad["p99_us"]["low"] < 2.0 < bad["p99_us"]["high"] < 2.6
    assert bad["chance"] < 0.01
    assert found["noise"]["p99_us"]["low"] < 1.0 < found["noise"]["p99_us"]["high"]
    for own in found["shadows"].values():
        own["copied"] = 5
    assert "| bad | 5 | 20 |" in markdown(found)


def test_rounds_in_which_the_machine_did_not_keep_up_are_left_out() -> None:
    """By what those without a shadow did; one that slows the primary down cannot hide so."""
    calm, slow = one(100.0), one(90_000.0, rate=500.0)
    busy = Round(without=slow, again=calm, beside=calm, due=DUE)
    harmed = Round(without=calm, again=calm, beside=slow, due=DUE)

    found = judge({"bad": [busy] * 20 + [harmed] * 6})

    assert found["shadows"]["bad"]["p99_us"]["rounds"] == 6
    assert found["shadows"]["bad"]["slower"]
    with pytest.raises(RuntimeError, match="too few rounds with bad"):
        judge({"bad": [busy] * 20})
