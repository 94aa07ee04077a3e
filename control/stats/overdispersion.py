"""How much more users differ from each other than requests would: evidence is divided by it.

Under sticky routing all requests of a user go to one arm, so requests are not independent and every test that
counts them is too sure (20 to 29 % false rollbacks at nominal 5 % in trials). The variance of failures
between random groups of keys, over the variance that independent requests would have, says by how much:

    phi = G / (G - 1) sum_g (x_g - p n_g)**2 / (N p (1 - p)).

Users differ in how slow their requests are, too, and differently at each quantile, so the same is asked of
answers slower than about the arm's quartiles, p90 and p99 (`proxy.key_times`). Latencies of all kinds are
divided by what was found for that of whole answers, at their quantile or the larger of its neighbours.

The larger one of both arms is taken, and all evidence is divided by the phi of all requests so far: the
longer users stay, the more requests each of them has, so phi grows, and what was won while it was small is
worth less in the end as well. (With 2 000 very unequal users, dividing each block by the phi of its time left
10 % false rollbacks at nominal 5 %, and phi pooled over the arms 1.8 % at nominal 1 %.) No theorem covers it,
but it can do no harm: for phi >= 1, e**(1/phi) reaches 1/alpha only where e does; being at most 1 or e,
a mean of several with a phi of their own does only where the mean of the e reaches 1/alpha - 1.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np
import numpy.typing as npt

from control.stats.events import LATENCIES, Event
from proxy.key_times import LEVELS

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Phi = tuple[float, ...]
"""Of failures, then of answers slower than each of `proxy.key_times.LEVELS`; 6 numbers, none below 1."""

NO_PHI: Final[Phi] = (1.0,) * (1 + len(LEVELS))
"""Of independent requests."""


def variance_ratio(requests: Counts, failures: Counts) -> tuple[Floats, Floats]:
    """Sum of squares between groups, and the variance that independent requests would have, each shape (...).

    Both are 0 without data.

    Args:
        requests, failures: by group of keys, shape (..., G).
    """
    n = requests.astype(np.float64)
    total, bad = n.sum(axis=-1), failures.sum(axis=-1).astype(np.float64)
    p = bad / np.maximum(total, 1.0)
    groups = n.shape[-1]
    squares = ((failures - p[..., None] * n) ** 2).sum(axis=-1) * groups / (groups - 1)
    told = (bad > 0) & (bad < total)
    return np.where(told, squares, 0.0), np.where(told, total * p * (1.0 - p), 0.0)


def phi_of(requests: Counts, failures: Counts) -> Floats:
    """The larger overdispersion of the arms, shape (...); at least 1.

    Args:
        requests, failures: by arm and group of keys, shape (..., A, G).
    """
    squares, expected = variance_ratio(requests, failures)
    by_arm = squares / np.where(expected > 0, expected, math.inf)
    found: Floats = by_arm.max(axis=-1, initial=1.0)
    return found


def at_least(answers: Counts, axis: int) -> Counts:
    """Answers of each class and of all slower ones; classes are on *axis*, quickest first."""
    found: Counts = np.flip(np.flip(answers, axis).cumsum(axis), axis)
    return found


def phi_by_place(groups: Counts) -> Phi:
    """Overdispersion of failures and of slow answers.

    Args:
        groups: by arm requests, failures, and answers from the quickest class to the slowest, by group of
            keys, shape (A, 8, G).
    """
    slow = at_least(groups[:, 2:], axis=1)
    n = np.concatenate((groups[:, :1], np.repeat(slow[:, :1], len(LEVELS), axis=1)), axis=1)
    x = np.concatenate((groups[:, 1:2], slow[:, 1:]), axis=1)
    return tuple(phi_of(n.swapaxes(0, 1), x.swapaxes(0, 1)).tolist())


def places(event: Event) -> tuple[int, int]:
    """Where in a `Phi` an event's is found: the larger of two, which often are one."""
    if event.source not in LATENCIES:
        return 0, 0
    return max(1, bisect_right(LEVELS, event.quantile)), min(
        len(LEVELS), bisect_left(LEVELS, event.quantile) + 1
    )


def phi_at(phi: Phi, event: Event) -> float:
    """An event's overdispersion."""
    one, other = places(event)
    return max(phi[one], phi[other])


def requests_per_unit(canary: Counts, control: Counts) -> float:
    """How many requests go one way together under sticky routing; at least 1.

    All requests of a key fall to the same arm, so of n requests the number that the canary gets varies as if
    there were n / c independent ones, c = sum m_u**2 / sum m_u over the keys' numbers of requests m_u. The
    groups show it without knowing the keys: with the canary's share r of all requests,

        c = G/(G-1) sum_g (n_cg - r n_g)**2 / (N r (1 - r)).

    Args:
        canary, control: requests by group of keys, shape (G,).
    """
    both = (canary + control).astype(np.float64)
    total = float(both.sum())
    share = float(canary.sum()) / total if total else 0.0
    if share in (0.0, 1.0):
        return max(1.0, total)
    groups = len(both)
    squares = float(((canary - share * both) ** 2).sum()) * groups / (groups - 1)
    return max(1.0, squares / (total * share * (1.0 - share)))
