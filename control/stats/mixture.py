"""The grid of effect sizes: which odds ratios are bet on, and how much on each."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from control.stats.blocks import log_mgf_of
from control.stats.hypergeometric import OddsRatios, log_mgf_exact
from control.stats.logspace import log_sum_exp

Floats = npt.NDArray[np.float64]

# Odds ratios from 1.2 (smaller effects should be a margin) to 1001 (everything fails where one in a thousand
# did); sixteen of them lose less than 0.1 nats to the best ratio in between.
PSI: Final[Floats] = 1.0 + np.geomspace(0.2, 1000.0, 16)

# Weights that fall as psi**(-2/3): large ratios need little evidence anyway, so the prior is spent on small
# ones.
LOG_PSI_WEIGHTS: Final[Floats] = np.log(PSI ** (-2.0 / 3.0) / (PSI ** (-2.0 / 3.0)).sum())

# What decides takes psi**(-2/3) as the density of log psi, not as the mass of a grid point. The points crowd
# near 1.2, at steps of log psi in proportion to 1 - 1 / psi; equal treatment of points spends half of the
# prior below 1.7. This way failures that rise fivefold are found with a tenth fewer requests, and a rise by
# half costs a tenth more (docs/statistics.md).
_DENSITY: Final[Floats] = PSI ** (-2.0 / 3.0) * (1.0 - 1.0 / PSI)
LOG_ODDS_WEIGHTS: Final[Floats] = np.log(_DENSITY / _DENSITY.sum())


class Odds(OddsRatios):
    """The bet that decides: the canary's odds of the event exceed control's by one of these ratios."""

    def log_increments_of(self, blocks: npt.NDArray[np.int64]) -> Floats:
        """What each odds ratio wins on each of many blocks, shape (B, 16).

        Args:
            blocks: rows of n_canary, n_control, x_canary, x_control, shape (B, 4).
        """
        n_c, n_t, x_c, x_t = blocks.T
        bad = x_c + x_t
        told = np.flatnonzero((n_c > 0) & (n_t > 0) & (bad > 0) & (bad < n_c + n_t))
        found = np.zeros((len(blocks), self.size))
        # Quantiles are the same share of every rollout's requests, so blocks come in few kinds.
        kinds, kind_of = np.unique(np.stack((n_c, n_t, bad), axis=1)[told], axis=0, return_inverse=True)
        log_m = log_mgf_of(kinds[:, 0], kinds[:, 1], kinds[:, 2], self.psi)
        found[told] = x_c[told, None] * self.log_psi - log_m[kind_of.reshape(-1)]
        return found

    def log_e_of(self, values: Floats) -> Floats:
        """Logarithms of many mixtures, shape (...), from what members have won, shape (..., 16)."""
        return log_sum_exp(values + LOG_ODDS_WEIGHTS)

    def log_e(self, values: Floats) -> float:
        """Logarithm of the mixture over the grid, from what its members have won, shape (16,)."""
        return float(log_sum_exp(values + LOG_ODDS_WEIGHTS))


ODDS: Final = Odds(PSI)


def mixture_path(blocks: npt.ArrayLike, log_weights: Floats = LOG_PSI_WEIGHTS) -> Floats:
    """Logarithms of the mixture's e-value after each block: exact sums, no late starts, no clipping.

    What the running process approximates in constant time; for checking and for studies.

    Args:
        blocks: rows of n_canary, n_control, x_canary, x_control, shape (B, 4).
        log_weights: of the odds ratios of `PSI`, shape (16,).

    Returns:
        Shape (B,).
    """
    rows = np.asarray(blocks, dtype=np.int64).reshape(-1, 4).tolist()
    won = np.cumsum(
        [x_c * ODDS.log_psi - log_mgf_exact(n_c, n_t, x_c + x_t, PSI) for n_c, n_t, x_c, x_t in rows], axis=0
    )
    return log_sum_exp(won + log_weights)
