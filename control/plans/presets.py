"""Ready-made plans with stated error budgets, for what a configuration leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from control.guardrails.base import Defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Where the values of a rollout come from that its configuration does not give."""

    weights: tuple[float, ...]
    duration_s: float
    requests: int
    alpha: float
    """Chance of rolling back a canary that is no worse, over the whole rollout."""
    alpha_promote: float
    """Chance of promoting one that is worse than the margin."""
    expiry_s: float
    burst_s: float
    """Trouble of one arm that lasts no longer than this does not condemn a build."""
    margins: Defaults


PRESETS: Final[Mapping[str, Preset]] = {
    "conservative": Preset(
        weights=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0),
        duration_s=300.0,
        requests=200,
        alpha=0.001,
        alpha_promote=0.01,
        expiry_s=6 * 3600.0,
        burst_s=60.0,
        margins=Defaults(promote_ratio=1.1, promote_rise=0.002, latency_ratio=1.1),
    ),
    "balanced": Preset(
        weights=(0.05, 0.1, 0.25, 0.5, 1.0),
        duration_s=30.0,
        requests=0,
        alpha=0.01,
        alpha_promote=0.05,
        expiry_s=3600.0,
        burst_s=60.0,
        margins=Defaults(promote_ratio=1.2, promote_rise=0.005, latency_ratio=1.25),
    ),
    "aggressive": Preset(
        weights=(0.1, 0.5, 1.0),
        duration_s=10.0,
        requests=0,
        alpha=0.05,
        alpha_promote=0.1,
        expiry_s=1800.0,
        burst_s=10.0,
        margins=Defaults(promote_ratio=1.5, promote_rise=0.01, latency_ratio=1.5),
    ),
}
