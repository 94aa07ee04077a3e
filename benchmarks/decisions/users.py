"""Users who stay at their arm and are not alike: the arms differ by who is where, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from control.guardrails.slowness import DEFAULT_QUANTILES
from control.rollout.batch import Arrivals
from control.stats.overdispersion import at_least, phi_of
from proxy.counters import GROUPS

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator
Feed = Callable[[int], Arrivals]

PACE = 100.0
"""Requests a second of both arms."""
SHARE = 0.1
"""The canary's weight; control has all the rest."""
USERS = 2000
# The logarithms of latencies: within a user, and of the users' medians.
_WITHIN, _BETWEEN = 0.5, 0.5


class _Users:
    """How often each asks, and where: 2 000 of them in each of many runs."""

    def __init__(self, runs: int, rng: Generator) -> None:
        pace = rng.lognormal(0.0, 1.5, (runs, USERS))
        self.pace: Floats = pace * (PACE / pace.sum(axis=1, keepdims=True))
        self.runs = runs

    def stay(self, rng: Generator) -> None:
        """Give each an arm, and a group of keys."""
        self.arm = (rng.random((self.runs, USERS)) >= SHARE).astype(np.int64)
        group = rng.integers(0, GROUPS, (self.runs, USERS))
        self._cell = ((np.arange(self.runs)[:, None] * 2 + self.arm) * GROUPS + group).ravel()

    def summed(self, values: Floats) -> Floats:
        """By arm and group, shape (runs, 2, 64)."""
        found = np.bincount(self._cell, values.ravel(), self.runs * 2 * GROUPS)
        return found.reshape(self.runs, 2, GROUPS).astype(np.float64)


def failing_users(runs: int, rng: Generator) -> Feed:
    """Users who ask and fail very unequally."""
    users = _Users(runs, rng)
    rates = rng.beta(0.1, 9.9, (runs, USERS))
    users.stay(rng)
    bad_pace, good_pace = users.summed(users.pace * rates), users.summed(users.pace * (1.0 - rates))
    requests, failures = (np.zeros((runs, 2, GROUPS), dtype=np.int64) for _ in range(2))

    def feed(second: int) -> Arrivals:
        nonlocal requests, failures
        del second
        x = rng.poisson(bad_pace)
        n = x + rng.poisson(good_pace)
        requests, failures = requests + n, failures + x
        return Arrivals(n=n.sum(axis=2), x=x.sum(axis=2)[:, None, :], phi=phi_of(requests, failures)[:, None])

    return feed


def slow_users(runs: int, rng: Generator) -> Feed:
    """Users who ask very unequally, and whose median latencies differ as much as the latencies of each."""
    users = _Users(runs, rng)
    medians = rng.normal(0.0, _BETWEEN, (runs, USERS))
    users.stay(rng)
    pace = np.stack(
        [users.summed(users.pace * share) for share in _classes(users, medians).transpose(2, 0, 1)], axis=1
    )
    answers = np.zeros(pace.shape, dtype=np.int64)

    def feed(second: int) -> Arrivals:
        nonlocal answers
        del second
        came = rng.poisson(pace)
        answers = answers + came
        slower = at_least(answers, axis=1)
        phi = phi_of(np.repeat(slower[:, :1], len(DEFAULT_QUANTILES), axis=1), slower[:, 1:])
        return Arrivals(n=came.sum(axis=(1, 3)), x=at_least(came, axis=1)[:, 1:].sum(axis=3), phi=phi)

    return feed


def _classes(users: _Users, medians: Floats) -> Floats:
    """Shares of each user's answers between control's quantiles, quickest first, shape (runs, users, 6)."""
    weights = users.pace * users.arm
    weights /= weights.sum(axis=1, keepdims=True)
    shape = (users.runs, len(DEFAULT_QUANTILES))
    low, high = np.full(shape, -6.0), np.full(shape, 6.0)
    for _ in range(30):
        middle = (low + high) / 2.0
        below = np.einsum("ru,ruq->rq", weights, _below(middle, medians)) < DEFAULT_QUANTILES
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    upto = _below(high, medians)
    return np.diff(upto, axis=2, prepend=0.0, append=1.0)


def _below(edges: Floats, medians: Floats) -> Floats:
    """Shares of each user's answers below edges of shape (runs, q), shape (runs, users, q)."""
    found: Floats = ndtr((edges[:, None, :] - medians[:, :, None]) / _WITHIN)
    return found
