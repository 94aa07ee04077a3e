"""Whether a shadow makes the primary slower than chance does: ratios within rounds, with their intervals.

A round has three slices in random order: two of proxies without a shadow, one of a proxy beside a shadow.
What else the machine does is in all three, and how far the two without differ is what it does to a ratio.
"""

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.load.slices import Slice

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 2000
# Of the requests that are due, the share that has to be answered for a round to count.
KEPT: Final = 0.98
ROUNDS_MIN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Slices taken one after the other: without a shadow, once more without, and beside one."""

    without: Slice
    again: Slice
    beside: Slice
    due: float
    """Requests a second that were due in each."""

    @property
    def kept(self) -> bool:
        """Whether both without a shadow kept up; where they did not, the machine was busy otherwise."""
        return min(self.without.rate, self.again.rate) >= KEPT * self.due

    def log_ratio(self, figure: Callable[[Slice], float]) -> float:
        """The logarithm of the figure beside the shadow over the mean of those without."""
        without, again, beside = (math.log(figure(one)) for one in (self.without, self.again, self.beside))
        return beside - (without + again) / 2

    def log_noise(self, figure: Callable[[Slice], float]) -> float:
        """The same of the two without: what nothing but chance makes of it."""
        return math.log(figure(self.again)) - math.log(figure(self.without))


def ratio(logs: Sequence[float], random_: random.Random) -> dict[str, float]:
    """The median ratio of rounds with its bootstrap interval (percentiles of resampled medians)."""
    medians = sorted(statistics.median(random_.choices(logs, k=len(logs))) for _ in range(RESAMPLES))
    edge = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return {
        "median": round(math.exp(statistics.median(logs)), 4),
        "low": round(math.exp(medians[edge]), 4),
        "high": round(math.exp(medians[-1 - edge]), 4),
        "rounds": len(logs),
    }


def chance(rounds: Sequence[Round], figure: Callable[[Slice], float], random_: random.Random) -> float:
    """How often chance alone makes the shadow look as slow: the three of each round change places."""
    logs = [[math.log(figure(one)) for one in (r.without, r.again, r.beside)] for r in rounds]
    seen = statistics.median(own[2] - (own[0] + own[1]) / 2 for own in logs)
    as_slow = 0
    for _ in range(RESAMPLES):
        drawn = [(own, random_.randrange(3)) for own in logs]
        as_slow += statistics.median(1.5 * own[i] - sum(own) / 2 for own, i in drawn) >= seen
    return (as_slow + 1) / (RESAMPLES + 1)


def judge(kinds: dict[str, list[Round]], seed: int = 1) -> dict[str, Any]:
    """The figures of every kind of shadow, and of the rounds' two slices without one (`noise`).

    Rounds in which even those without a shadow did not keep up are left out, whatever the third one did.
    `slower` says that the interval of a kind's p99 is above all that the noise's holds; `slices_us` are the
    p99 of each round: without, again without, and beside the shadow.

    Raises:
        RuntimeError: too few rounds are left to tell anything.
    """
    random_ = random.Random(seed)
    kinds = {kind: [one for one in rounds if one.kept] for kind, rounds in kinds.items()}
    if few := [kind for kind, rounds in kinds.items() if len(rounds) < ROUNDS_MIN]:
        raise RuntimeError(f"too few rounds with {', '.join(few)} in which the machine kept up")
    every = [one for rounds in kinds.values() for one in rounds]
    noise = {
        name: ratio([one.log_noise(figure) for one in every], random_) for name, figure in FIGURES.items()
    }
    found: dict[str, Any] = {}
    for kind, rounds in kinds.items():
        own: dict[str, Any] = {
            name: ratio([one.log_ratio(figure) for one in rounds], random_)
            for name, figure in FIGURES.items()
        }
        for name in ("p99_us", "p50_us"):
            figure = FIGURES[name]
            own[name]["beside"] = round(statistics.median(figure(one.beside) for one in rounds), 1)
            own[name]["without"] = round(
                statistics.median(figure(slice_) for one in rounds for slice_ in (one.without, one.again)), 1
            )
        own["slices_us"] = [[one.without.p99_us, one.again.p99_us, one.beside.p99_us] for one in rounds]
        own["chance"] = round(chance(rounds, FIGURES["p99_us"], random_), 4)
        own["slower"] = own["p99_us"]["low"] > max(1.0, noise["p99_us"]["high"])
        found[kind] = own
    return {"noise": noise, "shadows": found}


FIGURES: Final[dict[str, Callable[[Slice], float]]] = {
    "p99_us": lambda one: one.p99_us,
    "p50_us": lambda one: one.p50_us,
    "cost_us": lambda one: one.cost_us,
}
"""What is compared, by its name: times of the primary, and the proxy's CPU time for a request."""


def markdown(found: dict[str, Any]) -> str:
    """The figures as a table."""

    def shown(figure: dict[str, float]) -> str:
        return f"{figure['median']:.2f} ({figure['low']:.2f}–{figure['high']:.2f})"

    rows = [
        "| shadow | copies | rounds | p99 without → beside | p99 ratio | by chance | p50 ratio | CPU ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    noise = found["noise"]
    rows.append(
        f"| none, beside none | 0 | {noise['p99_us']['rounds']} | | {shown(noise['p99_us'])} | "
        f"| {shown(noise['p50_us'])} | {shown(noise['cost_us'])} |"
    )
    for kind, own in found["shadows"].items():
        p99 = own["p99_us"]
        rows.append(
            f"| {kind} | {own['copied']} | {p99['rounds']} | {p99['without']:.0f} → {p99['beside']:.0f} µs "
            f"| **{shown(p99)}**{' slower' if own['slower'] else ''} | {own['chance']:.2f} "
            f"| {shown(own['p50_us'])} | {shown(own['cost_us'])} |"
        )
    return "\n".join(rows) + "\n"
