"""What an experiment compares its variants by: failures, a latency quantile, or a metric of the route."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from config.values import InvalidValueError, parse_fraction
from control.guardrails.metric import HIGHER, LEVELS, LOWER
from control.metrics import FEEDBACK, RouteMetric
from control.stats.events import FAILURE, STREAM_LATENCIES, Event, Source
from control.stats.latency import quantile_name
from control.stats.layout import NO_CAUTION, Layout, layout_of
from control.stats.mixture import ODDS
from control.stats.process import HarmProcess

FAILURES: Final = "failures"
_LATENCIES: Final[Mapping[str, Source]] = {
    "latency": Source.TOTAL,
    "first_byte": Source.FIRST_BYTE,
    "first_token": Source.FIRST_TOKEN,
    "token_time": Source.TOKEN_TIME,
}
_VALUE: Final = "metric"
_QUANTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,2})?)")
_FORMS: Final = f"{FAILURES}, latency:p95, first_byte:p50, first_token:p50, token_time:p50 or metric:NAME"


class Unit(StrEnum):
    """What the metric's figures are."""

    SHARE = "share"
    """Of requests that succeed."""
    SECONDS = "seconds"
    VALUE = "value"
    """In the metric's own unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as an experiment is judged by it.

    A quantile is compared by counting requests beyond control's own quantile, and a metric's values by
    counting those beyond five of them, as guardrails do. The mean of a skewed metric would mislead for as
    long as the smaller arm has not seen the tail, so it is shown with its interval and decides nothing.
    """

    text: str = FAILURES
    """As it was asked for."""
    source: Source = Source.FAILURE
    level: float = 0.0
    """The quantile, of latencies."""
    value: RouteMetric | None = None
    """The route's metric."""
    direction: str = HIGHER
    """Which way is worse."""
    events: tuple[Event, ...] = field(init=False, repr=False, compare=False)
    """What the verdict is about."""
    layout: Layout = field(init=False, repr=False, compare=False)
    """These and, in any case, failures."""

    def __post_init__(self) -> None:
        if self.source is Source.FAILURE:
            events: tuple[Event, ...] = (FAILURE,)
        elif self.value is None:
            events = (Event(source=self.source, quantile=self.level),)
        else:
            value, below = self.value, self.direction == LOWER
            events = tuple(
                Event(
                    source=Source.METRIC,
                    quantile=level,
                    metric=value.label,
                    place=value.place,
                    below=below,
                    delayed=value.source == FEEDBACK,
                )
                for level in LEVELS[self.direction]
            )
        wanted = {event.key: event for event in (FAILURE, *events)}
        processes = [HarmProcess(event=event, bet=ODDS) for event in wanted.values()]
        object.__setattr__(self, "events", events)
        object.__setattr__(self, "layout", layout_of(processes, NO_CAUTION))

    @property
    def unit(self) -> Unit:
        """What its figures are."""
        if self.source is Source.FAILURE:
            return Unit.SHARE
        return Unit.SECONDS if self.value is None else Unit.VALUE

    @property
    def name(self) -> str:
        """How it is spoken of."""
        if self.source is Source.FAILURE:
            return "success rate"
        if self.value is not None:
            return f"mean {self.value.name}"
        return f"{quantile_name(self.level)} {self.text.partition(':')[0].replace('_', ' ')}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        value = self.value
        return {
            "text": self.text,
            "direction": self.direction,
            "value": None
            if value is None
            else {
                "name": value.name,
                "place": value.place,
                "source": value.source,
                "range": [value.low, value.high],
                "scale": "log" if value.log else "linear",
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        given = data["value"]
        metrics = () if given is None else (RouteMetric.from_config(given["place"], given),)
        return cls.read(data["text"], "" if given is None else data["direction"], metrics)

    @classmethod
    def read(cls, text: object, direction: object, metrics: Sequence[RouteMetric]) -> Self:
        """The metric that somebody asked for, on a route with these metrics of its own.

        Args:
            text: `failures`, a latency with its quantile such as `latency:p95`, or `metric:` and a name.
            direction: which way is worse; of a metric of the route only, and there it must be said.

        Raises:
            InvalidValueError: there is no such metric, or it cannot be read so.
        """
        if not isinstance(text, str):
            raise InvalidValueError(f"{text!r} is no metric", f"write {_FORMS}")
        kind, _, rest = text.partition(":")
        if kind == _VALUE and rest:
            return cls._value(text, rest, direction, metrics)
        if direction not in ("", None):
            raise InvalidValueError(
                f"{direction!r} says nothing about {text}",
                "leave out the direction: fewer and faster is better",
            )
        if text == FAILURES:
            return cls()
        if kind not in _LATENCIES:
            raise InvalidValueError(f"{text!r} is no metric", f"write {_FORMS}")
        found = _QUANTILE.fullmatch(rest)
        level = round(float(found[1]) / 100, 6) if found else 0.0
        if not 0.01 <= level <= 0.999:
            raise InvalidValueError(
                f"{rest!r} is no quantile of {kind}", f"write one from p1 to p99.9, such as {kind}:p95"
            )
        return cls(text=text, source=_LATENCIES[kind], level=level)

    @classmethod
    def _value(cls, text: str, name: str, direction: object, metrics: Sequence[RouteMetric]) -> Self:
        value = next((metric for metric in metrics if metric.name == name), None)
        if value is None:
            known = ", ".join(metric.name for metric in metrics)
            raise InvalidValueError(
                f"the route has no metric {name!r}",
                f"use one of {known}" if known else "name it under `metrics` of the route first",
            )
        if direction not in (HIGHER, LOWER):
            problem = (
                f"{direction!r} is not a direction" if direction else f"which way {name} is worse is not said"
            )
            raise InvalidValueError(problem, f"set direction to {HIGHER} or {LOWER}")
        return cls(text=text, source=Source.METRIC, value=value, direction=str(direction))

    @property
    def of_streams(self) -> bool:
        """Whether only streams have it."""
        return self.source in STREAM_LATENCIES

    def read_margin(self, given: object) -> float:
        """A difference that does not matter: of a metric of the route in its unit, of a latency as a share of
        control's, of failures as a share of requests.

        Raises:
            InvalidValueError: it is none.
        """
        if self.value is None:
            margin = parse_fraction(given)
            if not 0 < margin <= 0.5:
                raise InvalidValueError(f"{given!r} is no margin", "write a share above 0 and at most 50%")
            return margin
        try:
            margin = float(given)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            margin = math.nan
        if isinstance(given, bool) or not 0 < margin < self.value.high - self.value.low:
            raise InvalidValueError(
                f"{given!r} is no margin of {self.value.name}",
                f"write a difference above 0 and below {self.value.high - self.value.low:g}, in its own unit",
            )
        return margin
