"""How often a good canary is rolled back, and how soon a bad one: `python -m benchmarks.decisions`.

Simulated with the evidence that a plan keeps, looked at every second, under a fixed seed; the same figures
come out on every machine. Each row stands beside what theory allows: the budget alpha for false rollbacks,
and for detection the fewest canary requests that any test needs which must learn control's rate, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from control.cli.output import Grid, plain
from control.simulate import Study, Traffic, study
from control.stats.intervals import wilson
from control.stats.power import rollback_limit

REQUESTS_PER_SECOND = 100.0
ALPHAS = (0.05, 0.01)
WEIGHTS = (0.05, 0.1, 0.5)
BASELINES = (0.001, 0.01, 0.05)
EFFECTS = ((0.001, 0.005), (0.01, 0.02), (0.01, 0.05), (0.05, 0.1), (0.01, 1.0))

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseRollbacks:
    """An hour of two identical versions: how many of the runs ended in a rollback."""

    baseline: float
    weight: float
    alpha: float
    runs: int
    rolled_back: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A canary that is worse from its first request: how many of its requests it took to roll it back."""

    control_rate: float
    canary_rate: float
    weight: float
    alpha: float
    runs: int
    detected: int
    median_requests: float
    p90_requests: float
    least_requests: float
    """The mean that no valid test can undercut."""


def false_rollbacks(runs: int, seconds: int, progress: Progress) -> Iterator[FalseRollbacks]:
    """One row for each baseline, weight and alpha."""
    for number, (baseline, weight, alpha) in enumerate(
        (baseline, weight, alpha) for baseline in BASELINES for weight in WEIGHTS for alpha in ALPHAS
    ):
        progress(f"identical versions at {baseline:.1%}, weight {weight:.0%}, alpha {alpha}")
        found = _study(baseline, baseline, weight, alpha, runs, seconds, seed=100 + number)
        count = int((found.detected_s >= 0).sum())
        low, high = wilson(count, runs)
        yield FalseRollbacks(
            baseline=baseline, weight=weight, alpha=alpha, runs=runs, rolled_back=count, low=low, high=high
        )


def detections(runs: int, seconds: int, progress: Progress) -> Iterator[Detection]:
    """One row for each effect and alpha, at a weight of 10 %."""
    weight = 0.1
    for number, (before, after, alpha) in enumerate(
        (*effect, alpha) for effect in EFFECTS for alpha in ALPHAS
    ):
        progress(f"{before:.1%} becomes {after:.1%}, alpha {alpha}")
        found = _study(before, after, weight, alpha, runs, seconds, seed=500 + number)
        done = found.detected_s >= 0
        requests = found.canary_requests[done]
        median, p90 = (
            (float(np.quantile(requests, q)) for q in (0.5, 0.9)) if done.any() else (np.nan, np.nan)
        )
        yield Detection(
            control_rate=before,
            canary_rate=after,
            weight=weight,
            alpha=alpha,
            runs=runs,
            detected=int(done.sum()),
            median_requests=median,
            p90_requests=p90,
            # Both arms are of the same size, so a request is the canary's with a chance of a half.
            least_requests=rollback_limit(before, after, 0.5, alpha),
        )


def _study(
    control: float, canary: float, weight: float, alpha: float, runs: int, seconds: int, *, seed: int
) -> Study:
    traffic = Traffic(
        requests_per_second=REQUESTS_PER_SECOND, control_rate=control, canary_rate=canary, seconds=seconds
    )
    return study(traffic, runs=runs, weight=weight, alpha=alpha, seed=seed)


def report(errors: Sequence[FalseRollbacks], delays: Sequence[Detection]) -> str:
    """Both tables as text."""
    return plain(
        [
            f"Identical versions, {REQUESTS_PER_SECOND:g} requests a second, looked at every second",
            Grid(
                headings=["failing", "weight", "allowed", "rolled back", "95 % interval"],
                rows=[
                    [
                        f"{row.baseline:.1%}",
                        f"{row.weight:.0%}",
                        f"{row.alpha:.0%}",
                        f"{row.rolled_back} of {row.runs}",
                        f"{row.low:.2%} to {row.high:.2%}",
                    ]
                    for row in errors
                ],
                right=frozenset(range(4)),
            ),
            "A canary that is worse from its first request, weight 10 %: canary requests until the rollback",
            Grid(
                headings=["control", "canary", "alpha", "detected", "median", "p90", "no test below (mean)"],
                rows=[
                    [
                        f"{row.control_rate:.1%}",
                        f"{row.canary_rate:.1%}",
                        f"{row.alpha:g}",
                        f"{row.detected} of {row.runs}",
                        f"{row.median_requests:.0f}",
                        f"{row.p90_requests:.0f}",
                        f"{row.least_requests:.0f}",
                    ]
                    for row in delays
                ],
                right=frozenset(range(7)),
            ),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print and, if asked to, keep the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="simulated rollouts a row (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3600, help="simulated time of each (%(default)s)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    given = parser.parse_args(arguments)
    if given.runs < 1 or given.seconds < 1:
        parser.error("--runs and --seconds must be at least 1")

    def progress(text: str) -> None:
        print(f"... {text}", file=sys.stderr, flush=True)

    errors = list(false_rollbacks(given.runs, given.seconds, progress))
    delays = list(detections(given.runs, given.seconds, progress))
    print(report(errors, delays))
    if given.out:
        figures = {
            "runs": given.runs,
            "seconds": given.seconds,
            "requests_per_second": REQUESTS_PER_SECOND,
            "false_rollbacks": [asdict(row) for row in errors],
            "detections": [asdict(row) for row in delays],
        }
        given.out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
