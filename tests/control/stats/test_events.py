"""Events, their names, and tallies."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.stats.events import FAILURE, Event, Source, Tally
from control.stats.mantel_haenszel import odds_ratio, risk_ratio

BLOCKS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).flatmap(
        lambda n: st.tuples(st.just(n[0]), st.just(n[1]), st.integers(0, n[0]), st.integers(0, n[1]))
    ),
    max_size=10,
)


def test_names_tell_events_apart_and_share_thresholds() -> None:
    """A tolerated factor makes another event of the same threshold."""
    plain = Event(source=Source.TOTAL, quantile=0.95)
    shifted = Event(source=Source.TOTAL, quantile=0.95, shift=9)

    assert FAILURE.key == "failure"
    assert plain.key == "total:0.95:0"
    assert shifted.key == "total:0.95:9"
    assert plain.threshold == shifted.threshold == "total:0.95"


@given(BLOCKS)
def test_tallies_add_up(blocks: list[tuple[int, int, int, int]]) -> None:
    """Counts are sums; the ratio is Mantel and Haenszel's; JSON keeps every bit."""
    tally = Tally()
    for block in blocks:
        tally = tally.add(*block)

    sums = [sum(column) for column in zip(*blocks, strict=True)] or [0, 0, 0, 0]
    assert [tally.n_canary, tally.n_control, tally.x_canary, tally.x_control] == sums
    assert tally.ratio == risk_ratio(blocks)
    assert Tally.from_json(json.loads(json.dumps(tally.to_json()))) == tally
    if tally.difference is not None:
        assert -1.0 <= tally.difference <= 1.0


def test_estimates_without_data_are_unknown_not_zero() -> None:
    assert Tally().ratio is None
    assert Tally().difference is None
    assert Tally().add(0, 10, 0, 3).ratio is None
    assert Tally().add(10, 10, 1, 0).ratio == math.inf
    assert odds_ratio([(10, 10, 1, 0)]) == math.inf
    assert odds_ratio([(10, 10, 0, 0)]) is None
    assert Tally().add(10, 10, 3, 1).difference == pytest.approx(0.2)
