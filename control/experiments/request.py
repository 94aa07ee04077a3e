"""Reads the description of an experiment, from JSON or YAML alike. Every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from config.routes import Route
from config.schema import Config
from config.values import InvalidValueError, parse_fraction, parse_name
from control.errors import InvalidError
from control.experiments.metric import FAILURES, Metric
from control.metrics import RouteMetric
from proxy.keys import parse_key

_KEYS: Final = frozenset(
    {
        *("name", "description", "route", "variants", "control", "key", "layer", "share", "alpha"),
        *("metric", "direction", "margin"),
    }
)
_VARIANTS_MAX: Final = 16
_KEYS_MAX: Final = 8


def read_request(body: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The fields of an `Experiment`, checked against the configuration that is served.

    Raises:
        InvalidError: with every problem, each at its key.
    """
    return _Reader(body, config).read()


class _Reader:
    def __init__(self, body: Mapping[str, Any], config: Config) -> None:
        self._body, self._config = body, config
        self._problems: list[str] = []

    def read(self) -> dict[str, Any]:
        for key in sorted(self._body.keys() - _KEYS):
            self._fault(key, f"is no field; use {', '.join(sorted(_KEYS))}")
        variants, metric = self._variants(), self._metric()
        found = {
            "name": self._name("name", required=True),
            "description": str(self._body.get("description", ""))[:2000],
            "route": self._route(),
            "variants": variants,
            "control": self._control(variants),
            "key": self._key(),
            "layer": self._name("layer", required=False),
            "share": self._fraction("share", 1.0, highest=1.0),
            "alpha": self._fraction("alpha", 0.05, highest=0.5),
            "metric": metric,
            "margin": self._margin(metric),
        }
        if self._problems:
            raise InvalidError("; ".join(self._problems), "see docs/experiments.md")
        return found

    def _fault(self, place: str, problem: str) -> None:
        self._problems.append(f"{place}: {problem}")

    def _name(self, key: str, *, required: bool) -> str:
        value = self._body.get(key, "")
        if value == "" and not required:
            return ""
        try:
            return parse_name(value)
        except InvalidValueError as error:
            self._fault(key, f"{error.problem}; {error.remedy}")
            return ""

    def _fraction(self, key: str, default: float, *, highest: float) -> float:
        try:
            value = parse_fraction(self._body.get(key, default))
        except InvalidValueError as error:
            self._fault(key, f"{error.problem}; {error.remedy}")
            return default
        if not 0 < value <= highest:
            self._fault(key, f"must be above 0 and at most {highest * 100:g}%")
        return value

    def _metric(self) -> Metric | None:
        route = next((each for each in self._config.routes if each.name == self._body.get("route")), None)
        metrics = () if route is None else metrics_of(route)
        try:
            found = Metric.read(self._body.get("metric", FAILURES), self._body.get("direction", ""), metrics)
        except InvalidValueError as error:
            # Of a route that is not there nothing can be said.
            if route is not None:
                self._fault("metric", f"{error.problem}; {error.remedy}")
            return None
        if found.of_streams and route is not None and route.streams is None:
            self._fault(
                "metric", f"{found.text} needs streams that are looked at; set streams on route {route.name}"
            )
        return found

    def _margin(self, metric: Metric | None) -> float | None:
        if self._body.get("margin") is None or metric is None:
            return None
        try:
            return metric.read_margin(self._body["margin"])
        except InvalidValueError as error:
            self._fault("margin", f"{error.problem}; {error.remedy}")
            return None

    def _route(self) -> str:
        name = self._body.get("route")
        for route in self._config.routes:
            if route.name == name:
                return route.name
        self._fault(
            "route", f"there is no {name!r}; use one of {', '.join(r.name for r in self._config.routes)}"
        )
        return ""

    def _variants(self) -> dict[str, float]:
        given = self._body.get("variants")
        if not isinstance(given, Mapping) or not 2 <= len(given) <= _VARIANTS_MAX:
            self._fault("variants", f"must be 2 to {_VARIANTS_MAX} upstreams with their weights")
            return {}
        weights: dict[str, float] = {}
        for name, weight in given.items():
            if name not in self._config.upstreams:
                self._fault(
                    f"variants.{name}", f"there is no such upstream; use {', '.join(self._config.upstreams)}"
                )
            if isinstance(weight, str) and weight.endswith("%"):
                try:
                    weight = parse_fraction(weight)
                except InvalidValueError as error:
                    self._fault(f"variants.{name}", f"{error.problem}; {error.remedy}")
                    continue
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight <= 1000:
                self._fault(f"variants.{name}", "must be a weight above 0")
                continue
            weights[str(name)] = float(weight)
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items()}

    def _control(self, variants: Mapping[str, float]) -> str:
        control = self._body.get("control", next(iter(variants), ""))
        if variants and control not in variants:
            self._fault("control", f"{control!r} is none of the variants")
        return str(control)

    def _key(self) -> tuple[str, ...]:
        given = self._body.get("key", "client_address")
        keys = [given] if isinstance(given, str) else given
        if not isinstance(keys, list) or not 0 < len(keys) <= _KEYS_MAX:
            self._fault("key", f"must be one to {_KEYS_MAX} places, such as header:x-user-id")
            return ()
        for key in keys:
            try:
                parse_key(key)
            except (ValueError, TypeError, AttributeError) as error:
                self._fault("key", f"{key!r} is no place to take a key from ({error})")
        return tuple(map(str, keys))


def metrics_of(route: Route) -> tuple[RouteMetric, ...]:
    """A route's own metrics, as they are counted."""
    return tuple(
        RouteMetric.from_config(place, metric.model_dump(mode="json"))
        for place, metric in enumerate(route.metrics)
    )
