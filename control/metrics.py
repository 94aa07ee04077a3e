"""A route's custom metrics as the judgement knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from proxy.metric_counts import MetricScale

FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMetric:
    """One metric: where it is counted, and what its buckets mean."""

    name: str
    place: int
    """Its number in the route's list, which is where workers count it."""
    source: str
    low: float
    high: float
    log: bool
    scale: MetricScale = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", MetricScale(self.low, self.high, log=self.log))

    @property
    def label(self) -> str:
        """Its name with its range: what is counted under another range is another event."""
        return f"{self.name}[{self.low:g},{self.high:g}]{'log' if self.log else ''}"

    @classmethod
    def from_config(cls, place: int, given: Mapping[str, Any]) -> Self:
        """A metric as a route's configuration has it."""
        low, high = given["range"]
        return cls(
            name=str(given["name"]),
            place=place,
            source=str(given["source"]),
            low=float(low),
            high=float(high),
            log=given.get("scale", "linear") == "log",
        )
