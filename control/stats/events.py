"""Yes/no events of requests, and what has been counted of them in both arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, Final, Self


class Source(IntEnum):
    """Which counters an event is read from."""

    FAILURE = 0
    """The request ended as the route counts failures."""
    TOTAL = 1
    """It took longer than a threshold until its last byte."""
    FIRST_BYTE = 2
    """It took longer than a threshold until its first byte."""
    METRIC = 3
    """A custom metric's value lies beyond a threshold; only requests with a value are asked."""
    ABORT = 4
    """Its client went away before the answer was complete."""
    RETRY = 5
    """It was sent again."""
    OVERRIDE = 6
    """Its client chose the variant."""
    REPORTED = 7
    """Feedback has come for it."""
    SHADOW = 8
    """A shadow's answer to it differs from the primary's; only compared pairs are asked."""

    FIRST_TOKEN = 9
    """Its stream took longer than a threshold until the first token; only streams are asked."""
    TOKEN_TIME = 10
    """Its stream took longer than a threshold for a token, on the average; only good streams are asked."""


STREAM_LATENCIES: Final = (Source.FIRST_TOKEN, Source.TOKEN_TIME)
LATENCIES: Final = (Source.TOTAL, Source.FIRST_BYTE, *STREAM_LATENCIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens to a request or does not.

    For the latency sources the threshold is control's own `quantile`, taken from earlier data; the canary is
    measured against a threshold `shift` buckets higher, which is the tolerated factor. Thresholds of metrics
    are made in the same way; with `below` values under them count, and the canary's threshold is lower.
    """

    source: Source
    quantile: float = 0.0
    shift: int = 0
    metric: str = ""
    """The metric's name and range; empty for other sources."""
    place: int = 0
    """The metric's number in its route."""
    below: bool = False
    delayed: bool = False
    """Whether it may become known long after its request has ended."""
    key: str = field(init=False, compare=False)
    """A name that is equal for equal events, for stored evidence."""
    threshold: str = field(init=False, compare=False)
    """Where its threshold is kept: events that differ in the tolerated factor only share one. Empty for
    events without one."""
    histogram: int = field(init=False, compare=False)
    """A number that is equal for events that are read from the same counters."""

    def __post_init__(self) -> None:
        source = self.source.name.lower()
        if self.metric:
            source = f"{source}:{self.metric}"
        threshold = ""
        if self.source in (*LATENCIES, Source.METRIC):
            threshold = f"{source}:{self.quantile:g}{':below' if self.below else ''}"
        object.__setattr__(self, "threshold", threshold)
        object.__setattr__(self, "histogram", 100 * int(self.source) + self.place)
        object.__setattr__(self, "key", f"{threshold}:{self.shift}" if threshold else source)


FAILURE = Event(source=Source.FAILURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one event in both arms, and the sums behind the Mantel-Haenszel estimates.

    `n` are requests, `x` those with the event. The last three fields are sums over blocks of
    x_canary n_control / N, x_control n_canary / N and n_canary n_control / N.
    """

    n_canary: int = 0
    n_control: int = 0
    x_canary: int = 0
    x_control: int = 0
    cross_canary: float = 0.0
    cross_control: float = 0.0
    pairs: float = 0.0

    def add(self, n_canary: int, n_control: int, x_canary: int, x_control: int) -> Tally:
        """The tally with one more block; a block with an empty arm adds to the counts only."""
        total = n_canary + n_control
        both = n_canary > 0 and n_control > 0
        return Tally(
            n_canary=self.n_canary + n_canary,
            n_control=self.n_control + n_control,
            x_canary=self.x_canary + x_canary,
            x_control=self.x_control + x_control,
            cross_canary=self.cross_canary + (x_canary * n_control / total if both else 0.0),
            cross_control=self.cross_control + (x_control * n_canary / total if both else 0.0),
            pairs=self.pairs + (n_canary * n_control / total if both else 0.0),
        )

    @property
    def ratio(self) -> float | None:
        """The Mantel-Haenszel risk ratio; infinite when only the canary had events, None when nobody had."""
        if self.cross_control > 0:
            return self.cross_canary / self.cross_control
        return float("inf") if self.cross_canary > 0 else None

    @property
    def difference(self) -> float | None:
        """The Mantel-Haenszel risk difference, canary minus control."""
        return (self.cross_canary - self.cross_control) / self.pairs if self.pairs > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; floats round-trip exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**data)
