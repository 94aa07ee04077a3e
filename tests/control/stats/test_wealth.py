"""Clipping and leaving a window out: the recursion against its definition, and what a burst can do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

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
NO_CAUTION = Caution.of(0.0, 0.01)


def play(won: list[float], caution: Caution, *, starts: dict[int, int] | None = None) -> float:
    """One member of the grid through slices that won so much; starts before the slices that are named."""
    wealth = Wealth.begin(HARM, caution)
    for i, value in enumerate(won):
        if starts and i in starts:
            wealth = wealth.start(log_start_weight(starts[i]))
        wealth = wealth.absorb(np.full(ODDS.size, value))
        if i + 1 < len(won):
            wealth = wealth.close(caution)
    return float(wealth.values(caution)[0])


def sets_of_windows(slices: int, window: int, gap: int, after: int = 0) -> Iterator[set[int]]:
    """The slices of every set of windows with a gap between each two; the last may go beyond the end."""
    yield set()
    for first in range(after, slices):
        for rest in sets_of_windows(slices, window, gap, first + window + gap):
            yield set(range(first, first + window)) | rest


def by_definition(won: list[float], caution: Caution, *, starts: dict[int, int]) -> float:
    """The smallest, over sets of windows, of the process that bets nothing in them."""
    best = math.inf
    for left_out in sets_of_windows(len(won), caution.window, caution.gap):
        value = math.exp(LOG_FIRST_START)
        for i, increment in enumerate(won):
            if i in starts:
                value += math.exp(log_start_weight(starts[i]))
            if i not in left_out:
                value *= math.exp(increment)
        best = min(best, value)
    return math.log(best)


@given(st.integers(0, 2000))
def test_the_prior_of_the_starts_so_far_and_of_those_to_come_adds_up_to_one(starts: int) -> None:
    so_far = math.fsum(math.exp(log_start_weight(j)) for j in range(starts + 1))
    to_come = (1.0 - math.exp(LOG_FIRST_START)) / math.sqrt(starts + 1.0)

    assert so_far + to_come == pytest.approx(1.0, rel=1e-12)
    # After a year of minutes there is still something left to bet.
    assert math.isfinite(log_start_weight(525_600))


@given(
    st.lists(st.floats(-2.0, 3.0), min_size=1, max_size=18),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sets(st.integers(1, 17), max_size=3),
)
def test_recursion_equals_its_definition(won: list[float], window: int, gap: int, begun: set[int]) -> None:
    """Keeping one value for each age of the last window is the minimum over all sets of windows there are."""
    starts = {i: number + 1 for number, i in enumerate(sorted(begun)) if i < len(won)}
    caution = Caution(slice_s=1.0, cap=NO_CAP, window=window, gap=gap)

    assert play(won, caution, starts=starts) == pytest.approx(
        by_definition(won, caution, starts=starts), abs=1e-9
    )


@given(
    st.lists(st.floats(-1.0, 0.2), min_size=60, max_size=60),
    st.integers(0, 12),
    st.integers(18, 25),
    st.floats(0.0, 50.0),
)
def test_bursts_that_fit_into_windows_add_nothing(won: list[float], at: int, apart: int, gain: float) -> None:
    """Whatever bursts of six slices win, the process is no higher than the one that slept through them."""
    caution = Caution.of(60.0, 0.01)
    begin = [at + i * apart for i in range(3)]
    hit = [value + (gain if any(b <= i < b + 6 for b in begin) else 0.0) for i, value in enumerate(won)]
    asleep = [0.0 if any(b <= i < b + 7 for b in begin) else value for i, value in enumerate(won)]

    assert play(hit, caution) <= play(asleep, Caution(slice_s=1.0, cap=NO_CAP, window=0, gap=0)) + 1e-9


def test_failing_without_a_pause_condemns_within_two_bursts() -> None:
    """One window is left out; then a gap must be bet on, and half of it reaches the threshold."""
    caution = Caution.of(60.0, 0.01)
    enough = math.log(100.0)
    slices = next(n for n in range(1, 60) if play([50.0] * n, caution) >= enough)

    assert slices * caution.slice_s <= 110.0


def test_one_slice_counts_at_most_the_cap() -> None:
    """Open or closed."""
    caution = Caution(slice_s=1.0, cap=0.5, window=0, gap=0)
    wealth = Wealth.begin(HARM, caution).absorb(np.full(ODDS.size, 9.0))

    assert wealth.values(caution)[0] == pytest.approx(LOG_FIRST_START + 0.5)
    assert wealth.close(caution).values(caution)[0] == pytest.approx(LOG_FIRST_START + 0.5)


def test_no_caution_counts_everything_at_once() -> None:
    """Bursts of length 0 switch both measures off."""
    caution = Caution.of(0.0, 0.01)

    assert caution == Caution(slice_s=0.0, cap=math.inf, window=0, gap=0)
    assert play([4.0], caution) == pytest.approx(LOG_FIRST_START + 4.0)


def test_bets_on_the_absence_of_harm_have_no_window() -> None:
    """They are asked of all data."""
    wealth = Wealth.begin(SAFE, Caution.of(60.0, 0.01)).absorb(np.ones(SAFE.bet.size))

    assert (wealth.values(NO_CAUTION) == 1.0).all()


@pytest.mark.parametrize(
    ("burst_s", "slice_s", "window", "gap"),
    [(60.0, 10.0, 7, 11), (30.0, 5.0, 7, 22), (10.0, 5.0, 3, 22), (1.0, 5.0, 2, 22)],
)
def test_windows_hold_a_burst_and_lie_as_far_apart_however_short_it_is(
    burst_s: float, slice_s: float, window: int, gap: int
) -> None:
    """With a gap that shrank with the burst, windows could leave out half of all failures."""
    caution = Caution.of(burst_s, 0.01)

    assert (caution.slice_s, caution.window, caution.gap) == (slice_s, window, gap)
    assert (window - 1) * slice_s >= burst_s


def test_state_survives_json_to_the_last_bit() -> None:
    """A restart must not change a decision."""
    rng = np.random.default_rng(1)
    caution = Caution.of(60.0, 0.01)
    wealth = Wealth.begin(HARM, caution)
    for _ in range(12):
        wealth = wealth.absorb(rng.normal(size=ODDS.size)).close(caution)
    wealth = wealth.absorb(rng.normal(size=ODDS.size))

    again = Wealth.from_json(json.loads(json.dumps(wealth.to_json())))

    for name in ("free", "register", "pending"):
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
        both = both.absorb(won).close(caution).start(-5.0)
        alone = [one.absorb(won[i]).close(caution).start(-5.0) for i, one in enumerate(alone)]

    for i in range(2):
        assert (both.values(caution)[i] == alone[i].values(caution)).all()


def test_a_window_can_be_fitted() -> None:
    """What is already won stays; the new window begins empty."""
    wealth = Wealth.begin(HARM, Caution.of(0.0, 0.01)).absorb(np.ones(ODDS.size)).close(NO_CAUTION)

    caution = Caution.of(60.0, 0.01)
    longer = wealth.fit(caution)

    assert longer.register.shape == (caution.window + caution.gap, ODDS.size)
    assert (longer.values(NO_CAUTION) == wealth.values(NO_CAUTION)).all()
    assert longer.fit(NO_CAUTION).register.shape == (0, ODDS.size)
    assert longer.fit(caution) is longer
