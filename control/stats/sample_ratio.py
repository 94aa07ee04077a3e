"""Whether the arms get the share of requests they should: if not, the comparison itself is broken.

A mixture over Dirichlet-distributed shares against the share that was set,

    E = B(k rho + n_c, k (1 - rho) + n_t) / B(k rho, k (1 - rho)) / (rho**n_c (1 - rho)**n_t),

is a nonnegative martingale when every unit falls to the canary with chance rho. Values of separate stages
multiply. References: Lindon and Malek 2022 (sequential multinomial tests for sample-ratio mismatch).
"""

from __future__ import annotations

import math
from typing import Final

from scipy.special import betaln

# How sharply the mixture is centred on the share that was set: k = 1000 finds deviations of a few per cent
# of it.
CONCENTRATION: Final = 1000.0
# One stage in a thousand is called broken although it is not.
LOG_MISMATCH: Final = math.log(1000.0)


def sample_ratio_log_e(n_c: float, n_t: float, rho: float, k: float = CONCENTRATION) -> float:
    """Logarithm of the e-value against "each unit falls to the canary with chance rho".

    Args:
        n_c, n_t: units of the canary and of control: requests, or under sticky routing requests divided by
            how many of them go one way together (`control.stats.overdispersion`).
        rho: the share of the canary among both, strictly between 0 and 1.
        k: concentration of the mixture; larger looks for smaller deviations.
    """
    if not 0 < rho < 1:
        raise ValueError(f"share {rho} is not between 0 and 1")
    return float(
        betaln(k * rho + n_c, k * (1.0 - rho) + n_t)
        - betaln(k * rho, k * (1.0 - rho))
        - n_c * math.log(rho)
        - n_t * math.log1p(-rho)
    )


def expected_share(weight: float) -> float:
    """The canary's share in the requests of both arms when control is cut to its size where that is
    possible."""
    return weight / (weight + min(weight, 1.0 - weight))
