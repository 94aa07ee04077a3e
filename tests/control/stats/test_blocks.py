"""Many blocks at once give what one after the other gives."""

from __future__ import annotations

import numpy as np
import pytest

from control.stats.blocks import are_exact, log_mgf_of
from control.stats.hypergeometric import is_exact, log_mgf_bound, log_mgf_exact
from control.stats.mixture import PSI


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
