"""Figures that every guardrail shows: rates with intervals, and how many requests are still needed."""

from __future__ import annotations

import math
from typing import Final

from control.guardrails.base import View
from control.guardrails.finding import NOTHING, Measure
from control.guardrails.words import about
from control.stats.events import Event
from control.stats.sequences import proportion_interval

# Intervals are shown at 95 %, the level people are used to; decisions have levels of their own.
SHOWN_ALPHA: Final = 0.05


def measure(x: int, n: int) -> Measure:
    """A rate with its confidence sequence."""
    if n == 0:
        return NOTHING
    low, high = proportion_interval(x, n, SHOWN_ALPHA)
    return Measure(value=x / n, low=low, high=high, n=n, events=x)


def remaining(total: float, log_e_safe: float, view: View, event: Event) -> int | None:
    """What is left of the requests that a promotion takes, by how far its evidence has come.

    Args:
        total: requests expected from the beginning, were they independent.
    """
    total *= view.overdispersion(event)
    target = math.log(1.0 / view.alpha_promote)
    if log_e_safe >= target:
        return 0
    # Evidence below zero has to be made up for as well.
    return about(total * (target - log_e_safe) / target)
