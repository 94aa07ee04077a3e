"""Reads what somebody asks for: which release, on which route, by which strategy. Every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from config.schema import Config
from config.upstreams import Upstream
from config.values import InvalidValueError, parse_duration, parse_fraction, parse_name
from control.deployments.deployment import Settings, Strategy
from control.errors import InvalidError
from control.plans.plan import RolloutPlan
from control.rollout.identity import subject_of
from proxy.compile import split_roles

_KEYS: Final = frozenset(
    {
        "route",
        "strategy",
        "upstream",
        "endpoints",
        "release",
        "environment",
        "settings",
        "reason",
        "lift_quarantine",
    }
)
_TIMES: Final = {"duration": "duration_s", "expiry": "expiry_s", "probe_interval": "probe_interval_s"}
_SHARES: Final = {name: name for name in ("max_failure_rate", "share", "noise", "agreement")}
_NUMBERS: Final = {name: name for name in ("latency_ratio", "pairs")}
_TEXTS: Final = {"probe_path": "probe_path", "metrics_path": "metrics_path", "preview": "preview"}
_SETTINGS: Final = frozenset({*_TIMES, *_SHARES, *_NUMBERS, *_TEXTS, "key", "preset", "rollout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request that can be carried out."""

    route: str
    strategy: Strategy
    target: str
    baseline: str
    release: str
    environment: str
    endpoints: tuple[str, ...]
    upstreams: Mapping[str, Mapping[str, Any]]
    settings: Settings
    reason: str
    subject: str
    """What a quarantine of the release is about."""
    lift: bool
    """Whether it is to be tried again although it was condemned."""


def read_request(body: Mapping[str, Any], config: Config) -> Wanted:
    """What is wanted, checked against the configuration that is served.

    Raises:
        InvalidError: with every problem, each at its key.
    """
    return _Reader(body, config).read()


class _Reader:
    def __init__(self, body: Mapping[str, Any], config: Config) -> None:
        self._body, self._config = body, config
        self._problems: list[str] = []

    def read(self) -> Wanted:
        for name in sorted(self._body.keys() - _KEYS):
            self._fault(name, f"is no field; use {', '.join(sorted(_KEYS))}")
        strategy = self._strategy()
        route = self._text("route")
        baseline = self._baseline(route)
        target, section = self._target(baseline)
        settings = self._settings(strategy, len(section.get("endpoints", ())))
        if target and target == baseline:
            self._fault("upstream", f"{target} serves {route} already; name another one")
        upstreams = {target: section} if section else {}
        if baseline in self._config.upstreams:
            upstreams[baseline] = self._config.upstreams[baseline].model_dump(mode="json")
        wanted = Wanted(
            route=route,
            strategy=strategy,
            target=target,
            baseline=baseline,
            release=str(section.get("release", "")),
            environment=self._text("environment", "production"),
            endpoints=tuple(endpoint["url"] for endpoint in section.get("endpoints", ())),
            upstreams=upstreams,
            settings=settings,
            reason=self._text("reason", ""),
            subject=subject_of(route, target, Upstream.model_validate(section)) if section else "",
            lift=self._lift(),
        )
        if self._problems:
            raise InvalidError("; ".join(self._problems), "see docs/deployments.md")
        return wanted

    def _fault(self, place: str, problem: str) -> None:
        self._problems.append(f"{place}: {problem}")

    def _text(self, key: str, default: str | None = None) -> str:
        value = self._body.get(key, default)
        if not isinstance(value, str) or len(value) > 1000 or (default is None and not value):
            self._fault(key, "must be text")
            return ""
        return value.strip()

    def _lift(self) -> bool:
        value = self._body.get("lift_quarantine", False)
        if not isinstance(value, bool):
            self._fault("lift_quarantine", "must be true or false")
        elif value and not self._body.get("reason"):
            self._fault("reason", "is needed: why a release that was rolled back may be tried again")
        return value is True

    def _strategy(self) -> Strategy:
        value = self._body.get("strategy")
        if not isinstance(value, str) or value not in list(Strategy):
            self._fault("strategy", f"must be one of {', '.join(Strategy)}")
            return Strategy.DIRECT
        return Strategy(value)

    def _baseline(self, name: str) -> str:
        """The upstream that has the route's requests now."""
        for route in self._config.routes:
            if route.name != name:
                continue
            split = route.effective_split
            if split.kind == "direct":
                return str(split.parameters["upstream"])
            roles = split_roles(self._config, route)
            if "stable" in roles:
                return roles["stable"]
            self._fault("route", f"{name} divides requests by {split.kind}, so nothing serves it alone")
            return ""
        known = ", ".join(route.name for route in self._config.routes)
        self._fault("route", f"there is no route {name!r}; use one of: {known}")
        return ""

    def _target(self, baseline: str) -> tuple[str, dict[str, Any]]:
        name, endpoints = self._text("upstream"), self._body.get("endpoints")
        known = self._config.upstreams.get(name)
        release = self._text("release", "")
        if endpoints is None:
            if known is None:
                listed = ", ".join(each for each in self._config.upstreams if each != baseline)
                self._fault("upstream", f"there is no {name!r}; use one of {listed}, or give endpoints")
                return name, {}
            section: dict[str, Any] = known.model_dump(mode="json")
            if release and release != known.release:
                self._fault("release", f"{name} runs {known.release or 'an unnamed release'}")
            return name, section
        if known is not None:
            self._fault("upstream", f"{name} is in the configuration already, with endpoints of its own")
            return name, {}
        try:
            parse_name(name)
            made = Upstream.model_validate({"endpoints": endpoints, "release": release})
        except InvalidValueError as error:
            self._fault("upstream", f"{error.problem}; {error.remedy}")
            return name, {}
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=False, include_input=False):
                self._fault(".".join(map(str, detail["loc"])) or "endpoints", detail["msg"])
            return name, {}
        return name, made.model_dump(mode="json")

    def _settings(self, strategy: Strategy, endpoints: int) -> Settings:
        given = self._body.get("settings", {})
        if not isinstance(given, Mapping):
            self._fault("settings", "must be an object")
            return Settings()
        for name in sorted(given.keys() - _SETTINGS):
            self._fault(f"settings.{name}", f"is no setting; use {', '.join(sorted(_SETTINGS))}")
        plain: dict[str, Any] = {}
        readers = (
            (_TIMES, parse_duration),
            (_SHARES, parse_fraction),
            (_NUMBERS, _number),
            (_TEXTS, _text),
        )
        for keys, parse in readers:
            for name, field in keys.items():
                if name in given:
                    try:
                        plain[field] = parse(given[name])
                    except InvalidValueError as error:
                        self._fault(f"settings.{name}", f"{error.problem}; {error.remedy}")
        if "key" in given:
            key = given["key"]
            plain["key"] = (key,) if isinstance(key, str) else tuple(key)
        self._check_gate(strategy, plain)
        if strategy in (Strategy.CANARY, Strategy.ROLLING):
            plain["rollout"] = self._rollout(strategy, given, endpoints)
        elif "rollout" in given or "preset" in given:
            self._fault("settings.rollout", f"a {strategy} deployment has no rollout; use canary or rolling")
        return Settings(**plain)

    def _check_gate(self, strategy: Strategy, plain: Mapping[str, Any]) -> None:
        """A shadow ends by what its answers show only where that can be shown."""
        asked = [name for name in ("agreement", "latency_ratio", "pairs", "noise") if plain.get(name)]
        if asked and strategy is not Strategy.SHADOW:
            self._fault(f"settings.{asked[0]}", f"a {strategy} deployment compares no answers; use shadow")
        elif asked and not plain.get("agreement") and asked != ["noise"]:
            self._fault(f"settings.{asked[0]}", "means nothing without agreement; add for example 99%")
        if plain.get("agreement", 0.0) >= 1.0:
            self._fault("settings.agreement", "100% can never be shown; use for example 99.9%")

    def _rollout(self, strategy: Strategy, given: Mapping[str, Any], endpoints: int) -> dict[str, Any]:
        section = given.get("rollout", {})
        if not isinstance(section, Mapping):
            self._fault("settings.rollout", "must be an object")
            return {}
        made: dict[str, Any] = {"preset": given.get("preset", "balanced"), **section}
        if strategy is Strategy.ROLLING and "steps" not in made:
            # One endpoint after the other; a single one is first tried with half of the requests.
            count = max(2, min(endpoints, 50))
            made["steps"] = [round(number / count, 6) for number in range(1, count)] + [1.0]
        for problem in RolloutPlan.problems(made):
            place = ".".join(("settings.rollout", *map(str, problem.path)))
            self._fault(place, f"{problem.problem}; {problem.remedy}")
        return made


def _number(value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
        raise InvalidValueError("is no number from 0 to 10^9", "write a number without quotes")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 256:
        raise InvalidValueError("is not a short text", "write a word in quotes")
    return value
