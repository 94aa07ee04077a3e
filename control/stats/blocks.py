"""log M(psi) of many blocks at once: what a tick over a thousand rollouts, and a study of them, is made of.

The same numbers as `control.stats.hypergeometric` gives for one block after the other. The terms of a block,
C(n_c, j) C(n_t, X - j), and the powers psi**j are positive, so their sums over j are a product of two
matrices: no logarithm is taken of a term times a tilt, and no digit is lost.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from control.stats.hypergeometric import BOUND_FROM, EXACT_REQUESTS_MAX, log_mgf_bound, log_mgf_exact

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# Powers of psi stay below this; terms are scaled to at most one, and what underflows is smaller than this
# times 1e-308 of a sum that is at least one.
_LARGEST_POWER: Final = 1e280
# Blocks whose ranges of j are about equally long are summed together: each class is twice the former.
_SHORTEST_CLASS: Final = 8


def are_exact(n_c: Counts, n_t: Counts, bad: Counts) -> npt.NDArray[np.bool_]:
    """`is_exact` for each block, shape (B,)."""
    total = n_c + n_t
    one_sided = np.maximum(np.maximum(n_c, n_t), np.maximum(bad, total - bad)) / total
    result: npt.NDArray[np.bool_] = (total <= EXACT_REQUESTS_MAX) & (one_sided < BOUND_FROM)
    return result


def log_mgf_of(n_c: Counts, n_t: Counts, bad: Counts, psi: Floats) -> Floats:
    """log M(psi) of each block, exact where that pays and bounded from above elsewhere.

    Args:
        n_c, n_t, bad: requests of the canary and of control, and bad requests of both, shape (B,); both
            arms have requests.
        psi: odds ratios, at least 1, shape (K,).

    Returns:
        Shape (B, K).
    """
    exact = are_exact(n_c, n_t, bad)
    result = np.empty((len(bad), len(psi)))
    result[~exact] = log_mgf_bound(n_c[~exact], n_t[~exact], bad[~exact], psi)
    places = np.flatnonzero(exact)
    spans = np.minimum(n_c, bad)[places] - np.maximum(0, bad - n_t)[places] + 1
    longest = int(np.log(_LARGEST_POWER) / np.log(psi[-1]))
    length = _SHORTEST_CLASS
    while len(places):
        if length > longest:
            for i in places.tolist():
                result[i] = log_mgf_exact(int(n_c[i]), int(n_t[i]), int(bad[i]), psi)
            break
        fits = spans <= length
        chosen = places[fits]
        if len(chosen):
            result[chosen] = _summed(n_c[chosen], n_t[chosen], bad[chosen], psi, length)
        places, spans = places[~fits], spans[~fits]
        length = min(2 * length, longest) if length < longest else length + 1
    return result


def _summed(n_c: Counts, n_t: Counts, bad: Counts, psi: Floats, length: int) -> Floats:
    """log M(psi) by summation over at most `length` terms, shape (B, K)."""
    low = np.maximum(0, bad - n_t)
    steps = np.arange(length - 1.0)
    # Ratios of neighbouring terms; behind the last term they are made zero.
    j = low[:, None] + steps
    up = np.maximum((n_c[:, None] - j) * (bad[:, None] - j), 0.0)
    terms = np.zeros((len(bad), length))
    with np.errstate(divide="ignore"):
        np.cumsum(np.log(up / ((j + 1.0) * ((n_t - bad)[:, None] + j + 1.0))), axis=1, out=terms[:, 1:])
    terms = np.exp(terms - terms.max(axis=1, keepdims=True))
    sums = terms @ np.power(psi, np.arange(length)[:, None])
    result: Floats = np.log(sums) - np.log(terms.sum(axis=1, keepdims=True)) + low[:, None] * np.log(psi)
    return result
