"""Whether a shadow disagrees with the primary more often than it may.

Both answers belong to the same request, so the pairs need no assumption about routing; the question is about
one rate, and the test is that of one sample. Where answers differ from themselves (sampling, timestamps) a
copy to the primary's own version measures that noise, and the two disagreement rates are compared like the
failure rates of two arms.
"""

from __future__ import annotations

from dataclasses import dataclass

from control.stats.one_sample import Below, one_sample_log_e
from control.stats.sequences import proportion_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What compared pairs say about a limit on disagreement."""

    compared: int
    disagreed: int
    low: float
    high: float
    """The disagreement rate's interval, valid at every look."""
    log_e_above: float
    """Evidence that pairs disagree more often than the limit."""
    log_e_below: float
    """Evidence that they disagree less often."""


def agreement(compared: int, disagreed: int, limit: float, alpha: float) -> Agreement:
    """Judge `disagreed` of `compared` pairs against a limit in (0, 1)."""
    if not 0 <= disagreed <= compared:
        raise ValueError(f"{disagreed} of {compared} pairs cannot disagree")
    low, high = proportion_interval(disagreed, compared, alpha)
    below = Below((limit,))
    return Agreement(
        compared=compared,
        disagreed=disagreed,
        low=low,
        high=high,
        log_e_above=one_sample_log_e(compared, disagreed, limit),
        log_e_below=below.log_e(below.log_increments(compared, 0, disagreed, 0))[0],
    )
