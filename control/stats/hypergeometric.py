"""The two-sample bet: how likely a block's split of bad requests is under an odds ratio, against none.

Within a block the requests of both arms are exchangeable when both versions behave alike, because routing
inside the block is random. Given the sizes n_c, n_t and the number X of bad requests, the number x_c of bad
canary requests is then hypergeometric, however the failure probabilities vary between requests and over time.
Tilting that law by psi**x_c gives Fisher's noncentral hypergeometric law, and the ratio of the two,

    l(psi) = x_c log psi - log M(psi),    M(psi) = sum_j C(n_c, j) C(n_t, X - j) / C(N, X) psi**j,

is an e-value of expectation one. For a canary with a true odds ratio below one and psi > 1 its expectation is
at most one (monotone likelihood ratio), so the null is one-sided. Products over blocks are nonnegative
supermartingales, and Ville's inequality bounds the chance that they ever reach 1 / alpha by alpha.

References:
    Cornfield 1951; Mantel and Haenszel 1959 (the conditional law of a 2x2 table).
    ter Schure, Perez-Ortiz, Ly and Grunwald 2024, The safe logrank test (the product with ties).
    Hoeffding 1963, Theorem 4 (the bound on M).
    Ville 1939 (the maximal inequality).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from control.stats.logspace import log_sum_exp

Floats = npt.NDArray[np.float64]

# Where one of the two shares is this one-sided, the bound loses less than 5 % of the evidence. (With 0.95 a
# canary of 5 % whose failures rise from 5 to 25 % took 2 % more requests.)
BOUND_FROM: Final = 0.97
# Larger blocks hold so much evidence that the few per cent the bound loses are not worth milliseconds.
EXACT_REQUESTS_MAX: Final = 20_000
# A sum is cut where its terms have fallen by more than 1e-16: in standard deviations, and in whole steps for
# laws as narrow as a Poisson law with mean one.
_DEVIATIONS: Final = 9.0
_STEPS: Final = 24


def log_mgf_bound(n_c: Any, n_t: Any, bad: Any, psi: Floats) -> Floats:
    """An upper bound on log M(psi), exact for one bad request.

    Hoeffding's theorem bounds the law without replacement by the binomial law with it; the other three forms
    are the same bound after exchanging bad with good requests, canary with control, or both.

    Args:
        n_c, n_t, bad: requests of the canary and of control, and bad requests of both, shape (...).
        psi: odds ratios, shape (K,).

    Returns:
        Shape (..., K). Blocks must hold requests of both arms.
    """
    n_c, n_t, bad = (np.asarray(value, dtype=np.float64)[..., None] for value in (n_c, n_t, bad))
    total = n_c + n_t
    rho, q = n_c / total, bad / total
    up, down, log_psi = psi - 1.0, 1.0 / psi - 1.0, np.log(psi)
    bounds: Floats = np.minimum(bad * np.log1p(rho * up), n_c * np.log1p(q * up))
    np.minimum(bounds, n_c * log_psi + (total - bad) * np.log1p(rho * down), out=bounds)
    np.minimum(bounds, bad * log_psi + n_t * np.log1p(q * down), out=bounds)
    return bounds


def log_mgf_exact(n_c: int, n_t: int, bad: int, psi: Floats) -> Floats:
    """log M(psi) of one block by summation, around the mode of each tilted law where the range is long.

    Terms come from the ratio of neighbours, so no gamma function loses digits at large counts; the sum at
    psi = 1 normalises them. Returns shape (K,).
    """
    low, high = max(0, bad - n_t), min(n_c, bad)
    log_tilts = np.concatenate((_ZERO, np.log(psi)))
    if high - low <= _WHOLE:
        sums = log_sum_exp(
            _log_terms(n_c, n_t, bad, low, high) + log_tilts[:, None] * np.arange(high - low + 1.0)
        )
        whole: Floats = sums[1:] - sums[0] + low * log_tilts[1:]
        return whole
    modes = _modes(n_c, n_t, bad, np.concatenate((_ONE, psi))).clip(low, high)
    width = _window(n_c, n_t, bad, modes)
    first, last = max(low, int(modes.min()) - width), min(high, int(modes.max()) + width)
    log_terms = _log_terms(n_c, n_t, bad, first, last)
    # Every tilt looks at a window of the same length, so that the sums are one array operation.
    length = min(2 * width + 1, last - first + 1)
    starts = np.clip(modes - (width + first), 0, last - first + 1 - length)
    columns = starts.astype(np.int64)[:, None] + np.arange(length)
    sums = log_sum_exp(log_terms[columns] + columns * log_tilts[:, None])
    result: Floats = sums[1:] - sums[0] + first * log_tilts[1:]
    return result


# Up to this many terms summing all of them costs less than finding out which ones matter.
_WHOLE: Final = 128
_ZERO: Final = np.zeros(1)
_ONE: Final = np.ones(1)


def _log_terms(n_c: int, n_t: int, bad: int, first: int, last: int) -> Floats:
    """log C(n_c, j) C(n_t, X - j) for j from `first` to `last`, less its value at `first`."""
    terms = np.zeros(last - first + 1)
    j = np.arange(float(first), float(last))
    np.cumsum(np.log((n_c - j) * (bad - j) / ((j + 1.0) * (n_t - bad + j + 1.0))), out=terms[1:])
    return terms


def _modes(n_c: int, n_t: int, bad: int, psi: Floats) -> Floats:
    """Modes of the tilted laws: where the ratio of neighbouring terms falls to one, a quadratic's root."""
    above = (n_c + bad + 2.0) * psi + (n_t - bad)
    product = (n_c + 1.0) * (bad + 1.0) * psi
    root = np.sqrt(np.maximum(above * above - 4.0 * (psi - 1.0) * product, 0.0))
    modes: Floats = np.floor(2.0 * product / (above + root))
    return modes


def _window(n_c: int, n_t: int, bad: int, modes: Floats) -> int:
    """How many terms on either side of a mode can matter."""
    precision = (
        1.0 / (modes + 1.0)
        + 1.0 / (bad - modes + 1.0)
        + 1.0 / (n_c - modes + 1.0)
        + 1.0 / (n_t - bad + modes + 1.0)
    )
    return int(_DEVIATIONS * float(np.sqrt(1.0 / precision.min()))) + _STEPS


def is_exact(n_c: int, n_t: int, bad: int) -> bool:
    """Whether the exact sum pays for a block; depends only on what the law is conditional on."""
    total = n_c + n_t
    rho, q = n_c / total, bad / total
    return total <= EXACT_REQUESTS_MAX and max(rho, 1.0 - rho, q, 1.0 - q) < BOUND_FROM


class OddsRatios:
    """Bets on a grid of odds ratios psi, with what can be computed once kept."""

    def __init__(self, psi: Floats) -> None:
        self.psi = psi
        self.log_psi = np.log(psi)
        self.size = len(psi)
        self.key = f"odds:{psi[0]:.6g}:{psi[-1]:.6g}:{len(psi)}"
        self._tilts = np.stack((psi - 1.0, psi - 1.0, 1.0 / psi - 1.0, 1.0 / psi - 1.0))

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:
        """Logarithms of the e-values of one block, shape (K,); zero when nothing in it was left to chance.

        Args:
            n_c, n_t: requests of the canary and of control in the block.
            x_c, x_t: bad ones among them.
        """
        if not (0 <= x_c <= n_c and 0 <= x_t <= n_t):
            raise ValueError(f"{x_c} of {n_c} and {x_t} of {n_t} are not counts of a block")
        bad = x_c + x_t
        if bad == 0 or n_c == 0 or n_t == 0 or bad == n_c + n_t:
            return np.zeros_like(self.psi)
        if is_exact(n_c, n_t, bad):
            result: Floats = x_c * self.log_psi - log_mgf_exact(n_c, n_t, bad, self.psi)
        else:
            result = x_c * self.log_psi - self._log_mgf_bound(n_c, n_t, bad)
        return result

    def _log_mgf_bound(self, n_c: int, n_t: int, bad: int) -> Floats:
        """`log_mgf_bound` of one block in a third of its time."""
        total = n_c + n_t
        rho, q = n_c / total, bad / total
        features = np.log1p(self._tilts * ((rho,), (q,), (rho,), (q,)))
        bounds = features * ((bad,), (n_c,), (total - bad,), (n_t,))
        bounds[2] += n_c * self.log_psi
        bounds[3] += bad * self.log_psi
        smallest: Floats = bounds.min(axis=0)
        return smallest
