"""What it costs a bad canary's detection that latency is watched as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.decisions.figures import of_requests
from control.rollout.simulate import Traffic, study

ALPHA = 0.05
WEIGHT = 0.05
GOAL = 1.6
EFFECTS = ((0.001, 0.005), (0.01, 0.02), (0.01, 0.05), (0.05, 0.1), (0.05, 0.25))


@dataclass(frozen=True, slots=True, kw_only=True)
class TogetherCell:
    """One effect on errors, found by errors and five latency quantiles, over that by errors alone."""

    group: str = "together"
    control_rate: float
    canary_rate: float
    goal: float = GOAL
    runs: int = 400

    @property
    def name(self) -> str:
        """What it is, in words."""
        effect = f"{self.control_rate:.1%} to {self.canary_rate:.1%}"
        return f"{effect} with latency watched, {WEIGHT:.0%} against {1 - WEIGHT:.0%}, alpha {ALPHA:g}"

    def run(self, runs: int, seed: int, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Simulate and sum up; plain JSON values."""
        traffic = Traffic(
            requests_per_second=100.0, control_rate=self.control_rate, canary_rate=self.canary_rate
        )
        found, alone = (
            study(
                traffic,
                runs=runs,
                weight=WEIGHT,
                alpha=ALPHA,
                seed=seed,
                latency=latency,
                whole_control=True,
                progress=progress,
            )
            for latency in (True, False)
        )
        kept = {"group": self.group, "runs": runs, "alpha": ALPHA, "goal": self.goal}
        # Of all runs: one that is not found within the hour counts with the hour's requests.
        return kept | of_requests(
            found.canary_requests,
            found.detected_s,
            runs=runs,
            limit=float(alone.canary_requests.mean()),
        )


def together() -> Iterator[TogetherCell]:
    """All effects."""
    for control_rate, canary_rate in EFFECTS:
        yield TogetherCell(control_rate=control_rate, canary_rate=canary_rate)
