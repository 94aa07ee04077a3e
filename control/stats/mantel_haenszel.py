"""Effect estimates that compare like with like: within blocks first, then added up.

The ratio of pooled rates can point the wrong way when the canary's share and the base rate move together
(Simpson's paradox); these cannot. References: Mantel and Haenszel 1959; Rothman 1986 (risk ratio).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from control.stats.events import Tally


def risk_ratio(blocks: npt.ArrayLike) -> float | None:
    """sum x_c n_t / N over sum x_t n_c / N; infinite without control events, None without any.

    Args:
        blocks: rows of n_canary, n_control, x_canary, x_control, shape (B, 4).
    """
    tally = Tally()
    for row in np.asarray(blocks, dtype=np.int64).reshape(-1, 4).tolist():
        tally = tally.add(*row)
    return tally.ratio


def odds_ratio(blocks: npt.ArrayLike) -> float | None:
    """sum x_c (n_t - x_t) / N over sum x_t (n_c - x_c) / N; infinite or None likewise."""
    rows = np.asarray(blocks, dtype=np.float64).reshape(-1, 4)
    n_c, n_t, x_c, x_t = rows[(rows[:, 0] > 0) & (rows[:, 1] > 0)].T
    total = n_c + n_t
    over, under = float((x_c * (n_t - x_t) / total).sum()), float((x_t * (n_c - x_c) / total).sum())
    if under > 0:
        return over / under
    return float("inf") if over > 0 else None
