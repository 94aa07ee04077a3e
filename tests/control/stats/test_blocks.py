"""Many blocks at once give what one after the other gives."""

from __future__ import annotations

import numpy as np
import pytest

from control.stats.affine import Differences, Harm, Ratios, Safe
from control.stats.blocks import are_exact, log_mgf_of
from control.stats.hypergeometric import is_exact, log_mgf_bound, log_mgf_exact
from control.stats.mixture import ODDS, PSI
from control.stats.one_sample import Above, Below
from control.stats.process import Bet, Reversed, log_increments_of


def test_many_blocks_equal_the_same_blocks_one_by_one() -> None:
    """Over sizes from one request to thousands, with everything and with nothing failing."""
    rng = np.random.default_rng(7)
    n_c, n_t = (np.exp(rng.uniform(0, 7, 600)).astype(np.int64) for _ in range(2))
    bad = rng.binomial(n_c + n_t, rng.choice([0.0, 0.001, 0.1, 0.5, 0.97, 1.0], 600))

    found = log_mgf_of(n_c, n_t, bad, PSI)

    kinds = set()
    for i, block in enumerate(zip(n_c.tolist(), n_t.tolist(), bad.tolist(), strict=True)):
        exact = is_exact(*block)
        kinds.add((exact, min(block[0], block[2]) > 90))
        assert found[i] == pytest.approx(
            log_mgf_exact(*block, PSI) if exact else log_mgf_bound(*block, PSI), rel=1e-11, abs=1e-11
        ), block
    assert len(kinds) == 4
    assert are_exact(n_c, n_t, bad).any()


def test_no_blocks_are_no_trouble() -> None:
    none = np.zeros(0, dtype=np.int64)

    assert log_mgf_of(none, none, none, PSI).shape == (0, len(PSI))


@pytest.mark.parametrize(
    "bet",
    [
        ODDS,
        Reversed(ODDS),
        Safe([(1.2, 0.005), (1.0, 0.02)]),
        Harm(1.5, 0.001),
        Above(0.02),
        Below([0.02, 0.1]),
        Ratios(),
        Differences(),
    ],
    ids=lambda bet: str(bet.key),
)
def test_every_bet_wins_the_same_on_many_blocks_as_on_each(bet: Bet) -> None:
    """Also where an arm is empty, where nothing failed and where everything did."""
    rng = np.random.default_rng(8)
    n = rng.poisson(rng.choice([0, 1, 12, 400], (200, 1)), (200, 2))
    blocks = np.concatenate((n, rng.binomial(n, rng.choice([0.0, 0.02, 0.6, 1.0], (200, 1)))), axis=1)

    found = log_increments_of(bet, blocks)

    assert hasattr(bet, "log_increments_of")
    assert found.shape == (200, bet.size)
    for row, block in zip(found, blocks.tolist(), strict=True):
        assert row == pytest.approx(bet.log_increments(*block), rel=1e-9, abs=1e-9), block
