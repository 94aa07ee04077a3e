"""Clipping and leaving a window out: the recursion against its definition, and what a burst can do."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.stats.affine import Safe
from control.stats.events import FAILURE
from control.stats.mixture import ODDS
from control.stats.process import LOG_FIRST_START, HarmProcess, SafeProcess, log_start_weight
from control.stats.wealth import Caution, Wealth, pack, unpack

HARM = HarmProcess(event=FAILURE, bet=ODDS)
SAFE = SafeProcess(event=FAILURE, bet=Safe([(1.2, 0.005)]))
NO_CAP = math.inf


def play(won: list[float], caution: Caution, *, starts: dict[int, int] | None = None) -> float:
    """One member of the grid through slices that won so much; starts before the slices that are named."""
    wealth = Wealth.begin(HARM, caution)
    for i, value in enumerate(won):
        if starts and i in starts:
            wealth = wealth.start(log_start_weight(starts[i]))
        wealth = wealth.absorb(np.full(ODDS.size, value))
        if i + 1 < len(won):
            wealth = wealth.close(caution.cap)
    return float(wealth.values(caution.cap)[0])


def by_definition(won: list[float], window: int, *, starts: dict[int, int]) -> float:
    """The smallest, over windows that have ended or end now, of the process that bets nothing in it."""
    best = math.inf
    for left in range(-window, len(won) - window + 1):
        value = math.exp(LOG_FIRST_START)
        for i, increment in enumerate(won):
            if i in starts:
                value += math.exp(log_start_weight(starts[i]))
            if not left <= i < left + window:
                value *= math.exp(increment)
        best = min(best, value)
    return math.log(best)


@given(
    st.lists(st.floats(-2.0, 3.0), min_size=1, max_size=25),
    st.integers(1, 6),
    st.sets(st.integers(1, 24), max_size=3),
)
def test_recursion_equals_its_definition(won: list[float], window: int, begun: set[int]) -> None:
    """Keeping one value for each of the last slices is the minimum over every window there is."""
    starts = {i: number + 1 for number, i in enumerate(sorted(begun)) if i < len(won)}
    caution = Caution(slice_s=1.0, cap=NO_CAP, window=window)

    assert play(won, caution, starts=starts) == pytest.approx(
        by_definition(won, window, starts=starts), abs=1e-9
    )


@given(st.lists(st.floats(-1.0, 0.2), min_size=20, max_size=40), st.integers(0, 12), st.floats(0.0, 50.0))
def test_a_burst_that_fits_into_the_window_adds_nothing(won: list[float], at: int, gain: float) -> None:
    """Whatever six slices win, the process is no higher than the one that slept through them."""
    caution = Caution.of(60.0, 0.01)
    hit = [value + (gain if at <= i < at + 6 else 0.0) for i, value in enumerate(won)]
    asleep = [0.0 if at <= i < at + 7 else value for i, value in enumerate(won)]

    assert play(hit, caution) <= play(asleep, Caution(slice_s=1.0, cap=NO_CAP, window=0)) + 1e-9


def test_one_slice_counts_at_most_the_cap() -> None:
    """Open or closed."""
    caution = Caution(slice_s=1.0, cap=0.5, window=0)
    wealth = Wealth.begin(HARM, caution).absorb(np.full(ODDS.size, 9.0))

    assert wealth.values(caution.cap)[0] == pytest.approx(LOG_FIRST_START + 0.5)
    assert wealth.close(caution.cap).values(caution.cap)[0] == pytest.approx(LOG_FIRST_START + 0.5)


def test_no_caution_counts_everything_at_once() -> None:
    """Bursts of length 0 switch both measures off."""
    caution = Caution.of(0.0, 0.01)

    assert caution == Caution(slice_s=0.0, cap=math.inf, window=0)
    assert play([4.0], caution) == pytest.approx(LOG_FIRST_START + 4.0)


def test_priors_of_all_starts_add_up_to_one() -> None:
    """Half for the first, half for the rest, however many there are."""
    total = sum(math.exp(log_start_weight(start)) for start in range(100_000))

    assert total == pytest.approx(1.0, abs=1e-4)
    assert total < 1.0


def test_bets_on_the_absence_of_harm_have_no_window() -> None:
    """They are asked of all data."""
    wealth = Wealth.begin(SAFE, Caution.of(60.0, 0.01)).absorb(np.ones(SAFE.bet.size))

    assert (wealth.values(math.inf) == 1.0).all()


def test_state_survives_json_to_the_last_bit() -> None:
    """A restart must not change a decision."""
    rng = np.random.default_rng(1)
    caution = Caution.of(60.0, 0.01)
    wealth = Wealth.begin(HARM, caution)
    for _ in range(12):
        wealth = wealth.absorb(rng.normal(size=ODDS.size)).close(caution.cap)
    wealth = wealth.absorb(rng.normal(size=ODDS.size))

    again = Wealth.from_json(json.loads(json.dumps(wealth.to_json())))

    for name in ("least", "history", "pending"):
        assert (getattr(again, name) == getattr(wealth, name)).all()
    values = np.array([math.pi, -0.0, 5e-324])
    assert unpack(pack(values)).tobytes() == values.tobytes()


def test_runs_side_by_side_are_independent() -> None:
    """A simulation's state is its runs' states."""
    rng = np.random.default_rng(2)
    caution = Caution.of(6.0, 0.01)
    both = Wealth.begin(HARM, caution, (2,))
    alone = [Wealth.begin(HARM, caution) for _ in range(2)]
    for _ in range(15):
        won = rng.normal(size=(2, ODDS.size))
        both = both.absorb(won).close(caution.cap).start(-5.0)
        alone = [one.absorb(won[i]).close(caution.cap).start(-5.0) for i, one in enumerate(alone)]

    for i in range(2):
        assert (both.values(caution.cap)[i] == alone[i].values(caution.cap)).all()


def test_a_window_can_be_fitted() -> None:
    """What is already won stays; the new window begins empty."""
    wealth = Wealth.begin(HARM, Caution.of(0.0, 0.01)).absorb(np.ones(ODDS.size)).close(math.inf)

    longer = wealth.fit(7)

    assert longer.history.shape == (7, ODDS.size)
    assert (longer.values(math.inf) == wealth.values(math.inf)).all()
    assert longer.fit(0).history.shape == (0, ODDS.size)
    assert longer.fit(7) is longer
