"""The grid of effect sizes and the path of its mixture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from control.stats.mixture import LOG_ODDS_WEIGHTS, LOG_PSI_WEIGHTS, ODDS, PSI, mixture_path


def test_weights_are_a_prior_that_favours_small_effects() -> None:
    assert np.exp(LOG_PSI_WEIGHTS).sum() == pytest.approx(1.0)
    assert (np.diff(LOG_PSI_WEIGHTS) < 0).all()
    assert np.exp(LOG_ODDS_WEIGHTS).sum() == pytest.approx(1.0)
    # As a density of log psi, with the grid's own steps.
    density = LOG_ODDS_WEIGHTS[1:-1] - np.log(np.gradient(np.log(PSI))[1:-1])
    assert (np.diff(density) < 0).all()
    assert np.polyfit(np.log(PSI[1:-1]), density, 1)[0] == pytest.approx(-2 / 3, abs=0.03)
    assert (PSI[0], PSI[-1]) == pytest.approx((1.2, 1001.0))


def test_simpsons_trap_condemns_nobody() -> None:
    """The canary's share and everybody's failure rate rise together: within blocks there is no difference."""
    blocks = [
        (n, 1000 - n, n * rate // 1000, (1000 - n) * rate // 1000)
        for n, rate in ((50, 10), (250, 40), (500, 160))
    ]
    pooled = [sum(column) for column in zip(*blocks, strict=True)]

    path = mixture_path(blocks)

    # Pooled, the canary looks a third worse.
    assert pooled[2] / pooled[0] > 1.3 * pooled[3] / pooled[1]
    assert path[-1] < 0


def test_mixture_of_nothing_won_is_one() -> None:
    assert ODDS.log_e(np.zeros(ODDS.size)) == pytest.approx(0.0, abs=1e-12)
    assert ODDS.log_e(np.full(ODDS.size, math.log(7))) == pytest.approx(math.log(7))
