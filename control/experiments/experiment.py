"""An experiment: which variants share a route, among whom, how sure one wants to be, and how far it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self

from control.experiments.comparison import Comparison
from control.experiments.metric import Metric
from control.experiments.states import FINISHED, Event, Status, after
from control.overlay import Overlay

_MOVES_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One transition, as it is remembered. `at` in Unix seconds."""

    at: float
    status: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Variants compared on a route. Times are Unix seconds."""

    id: str
    name: str
    description: str = ""
    route: str
    control: str
    """The upstream that the others are compared with."""
    variants: Mapping[str, float]
    """Share of each upstream in the experiment's requests; they add up to 1."""
    key: tuple[str, ...]
    """Where the key comes from that decides who gets which variant."""
    layer: str = ""
    """Experiments of one layer never share a key; empty = it is in none."""
    share: float = 1.0
    """Part of the keys that takes part."""
    range: tuple[float, float] = (0.0, 1.0)
    """Which part of its layer, given out at the start."""
    alpha: float = 0.05
    """Chance of declaring a difference where there is none."""
    metric: Metric = field(default_factory=Metric)
    """What the variants are compared by."""
    metric_lost: str = ""
    """Why it is not counted any more; empty while it is."""
    margin: float | None = None
    """A difference that does not matter, as `Metric.read_margin` has it."""
    base: str
    """What the configuration said about the route."""
    status: Status = Status.DRAFT
    current: bool = False
    """Whether it decides where the route's requests go."""
    created_at: float
    created_by: str
    started_at: float | None = None
    finished_at: float | None = None
    reason: str = ""
    releases: Mapping[str, str] = field(default_factory=dict)
    """By variant, the release it was when the experiment began; left out where none is named."""
    began: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What each variant had counted when the experiment began."""
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """By variant, its evidence against control."""
    result: Mapping[str, Any] | None = None
    """The last analysis once it has ended."""
    moves: tuple[Moved, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether no event is accepted any more."""
        return self.status in FINISHED

    @property
    def treatments(self) -> list[str]:
        """The variants other than control."""
        return [name for name in self.variants if name != self.control]

    @property
    def alpha_each(self) -> float:
        """The level at which each of them is compared with control: alpha divided among them."""
        return self.alpha / max(1, len(self.treatments))

    @property
    def log_threshold(self) -> float:
        """Logarithm of the e-value that decides, either way: both directions have half of the level."""
        return math.log(2.0 / self.alpha_each)

    def moved(self, event: Event, *, actor: str, reason: str, at: float) -> Experiment:
        """The experiment after an event at *at*.

        Raises:
            TransitionError: its status does not know the event.
        """
        status = after(self.status, event)
        move = Moved(at=at, status=status.name.lower(), actor=actor, reason=reason)
        changed = replace(self, status=status, reason=reason, moves=(*self.moves, move)[-_MOVES_MAX:])
        if event is Event.START:
            changed = replace(
                changed, current=True, started_at=at if self.started_at is None else self.started_at
            )
        if status in FINISHED:
            changed = replace(changed, current=False, finished_at=at)
        return changed

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the status by name."""
        data: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return data | {
            "status": self.status.name.lower(),
            "variants": dict(self.variants),
            "metric": self.metric.to_json(),
            "key": list(self.key),
            "range": list(self.range),
            "releases": dict(self.releases),
            "began": {name: dict(counts) for name, counts in self.began.items()},
            "comparisons": {name: each.to_json() for name, each in self.comparisons.items()},
            "moves": [{each.name: getattr(move, each.name) for each in fields(move)} for move in self.moves],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        plain = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        plain |= {
            "status": Status[data["status"].upper()],
            "key": tuple(data["key"]),
            "metric": Metric.from_json(data["metric"]) if "metric" in data else Metric(),
            "range": (data["range"][0], data["range"][1]),
            "comparisons": {name: Comparison.from_json(one) for name, one in data["comparisons"].items()},
            "moves": tuple(Moved(**move) for move in data["moves"]),
        }
        return cls(**plain)


def overlay_of(experiment: Experiment) -> Overlay | None:
    """What *experiment* puts over the configuration; None when it leaves it alone.

    While it is paused everybody gets control. The salt is its id, so that whoever was where comes back
    there, and nobody's place in it follows from another experiment.
    """
    if not experiment.current or experiment.status not in (Status.RUNNING, Status.PAUSED):
        return None
    split: dict[str, Any] = {"kind": "direct", "upstream": experiment.control}
    if experiment.status is Status.RUNNING:
        split = {
            "kind": "hash",
            "variants": {name: round(share * 100, 9) for name, share in experiment.variants.items()},
            "key": list(experiment.key),
            "salt": experiment.id,
        }
        if experiment.layer or experiment.share < 1:
            split["layer"] = {"name": experiment.layer or experiment.id, "range": list(experiment.range)}
            split["outside"] = experiment.control
    return Overlay(route=experiment.route, base=experiment.base, owner=experiment.id, split=split)
