"""What a rollout is to do: steps, gates, guardrails and error budgets, read from a route's configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final

from config.values import InvalidValueError, parse_duration, parse_fraction
from control.calendar import Freeze
from control.guardrails.base import Defaults, Guardrail, GuardrailConfigError
from control.guardrails.finding import Mode
from control.guardrails.load import load_all
from control.metrics import RouteMetric
from control.plans.conditions import AfterPromotion, WebhookGate
from control.plans.default_guardrails import DEFAULT_GUARDRAILS, flat_guardrails
from control.plans.presets import PRESETS, Preset
from control.plans.problems import Path, PlanError, PlanProblem
from control.plans.warm_up import WarmUp
from control.shadows.gate import ShadowGate
from control.stats.events import FAILURE, Event
from control.stats.layout import Layout, layout_of
from control.stats.looseness import LEVELS
from control.stats.one_sample import BROKEN
from control.stats.process import HarmProcess, Process
from control.stats.wealth import Caution

# Whoever reads a plan gets its problems from the same place.
__all__ = ["DEFAULT_GUARDRAILS", "OnExpiry", "PlanError", "PlanProblem", "RolloutPlan", "Step"]


class OnExpiry(IntEnum):
    """What becomes of a step that stayed undecided for too long."""

    HOLD = 0
    """Wait for a person; guardrails stay active."""
    STABLE = 1
    """Give all requests back to stable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One weight of the canary and what it takes to leave it."""

    weight: float
    """Share of requests, 0 to 1."""
    duration_s: float
    """The least time at this weight, in seconds."""
    requests: int
    """The least finished canary requests at this weight."""
    manual: bool = False
    """Whether a person must let it pass."""
    paced: bool = False
    """Whether steps after it may be left out when the evidence suffices for them already."""
    bake: bool = False
    """Whether it is the last observation, with stable holding back a small part."""
    shadow: ShadowGate | None = None
    """What a shadow has to show while the canary gets no request at all."""


# Whatever the guardrails: an arm without concurrent control is watched for being broken altogether.
BREAKER: Final = HarmProcess(event=FAILURE, bet=BROKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """How the canary of a route is ramped, judged and, if need be, rolled back."""

    enabled: bool = True
    preset: str = "balanced"
    steps: tuple[Step, ...]
    guardrails: tuple[Guardrail, ...]
    alpha: float
    """Chance of rolling back a canary that is no worse, over the whole rollout."""
    alpha_promote: float
    """Chance of promoting one that is worse than the margin."""
    interval_s: float = 1.0
    """Seconds between two analyses."""
    expiry_s: float = 3600.0
    """How long a step may stay undecided, in seconds; 0 = for ever."""
    on_expiry: OnExpiry = OnExpiry.HOLD
    no_data_expiry_s: float | None = None
    """The same for a step without anything to judge by; None = as `expiry_s`."""
    on_no_data: OnExpiry | None = None
    """What becomes of it then; None = as `on_expiry`."""
    webhooks: tuple[WebhookGate, ...] = ()
    """Who is asked before the canary gets more requests."""
    freezes: tuple[Freeze, ...] = ()
    """When it does not."""
    after_promotion: AfterPromotion = field(default_factory=AfterPromotion)
    auto_start: bool = True
    min_requests: int = 0
    """Canary requests before guardrails may decide anything; the circuit breakers do not wait."""
    burst_s: float = 60.0
    """Failures of one arm within a time as short as this are not enough to condemn a build; 0 = off."""
    margins: Defaults = field(default_factory=Defaults)
    """The preset's margins; guardrails have their own, made from these."""
    sticky: bool = False
    """Whether requests are routed by a key, so that they are not independent."""
    warm_up: WarmUp = field(default_factory=WarmUp)
    metrics: tuple[RouteMetric, ...] = ()
    """The route's own metrics."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The configuration the plan was read from, with the route's metrics."""
    processes: tuple[Process, ...] = field(init=False, repr=False, compare=False)
    """The evidence that all guardrails need, each process once."""
    events: tuple[Event, ...] = field(init=False, repr=False, compare=False)
    """What these processes bet on, each event once."""
    layout: Layout = field(init=False, repr=False, compare=False)
    """In which order both are kept."""
    delayed: tuple[Event, ...] = field(init=False, repr=False, compare=False)
    """Those that may become known long after their request has ended."""
    caution: Caution = field(init=False, repr=False, compare=False)
    """How long trouble must last to count."""

    def __post_init__(self) -> None:
        wanted: dict[str, Process] = {BREAKER.key: BREAKER}
        for guardrail in self.guardrails:
            wanted |= {process.key: process for process in guardrail.processes()}
        object.__setattr__(self, "processes", tuple(wanted.values()))
        object.__setattr__(self, "caution", Caution.of(self.burst_s, self.alpha))
        object.__setattr__(self, "layout", layout_of(self.processes, self.caution))
        object.__setattr__(self, "events", self.layout.events)
        object.__setattr__(self, "delayed", tuple(event for event in self.events if event.delayed))

    def step(self, index: int) -> Step:
        """The step at an index; the last one for an index beyond, as a plan may have become shorter."""
        return self.steps[min(index, len(self.steps) - 1)]

    def level(self, step: int) -> int:
        """How loose the margin of a step is: 0 at the last step that has concurrent control, then rising."""
        later = sum(1 for following in self.steps[step + 1 :] if following.weight < 1 and not following.bake)
        return min(later, LEVELS - 1)

    def undecided(self, *, no_data: bool) -> tuple[float, OnExpiry]:
        """How long a step may stay undecided, in seconds (0 = for ever), and what follows."""
        seconds, action = self.expiry_s, self.on_expiry
        if no_data and self.no_data_expiry_s is not None:
            seconds = self.no_data_expiry_s
        if no_data and self.on_no_data is not None:
            action = self.on_no_data
        return seconds, action

    @classmethod
    def from_config(
        cls,
        rollout: object = None,
        *,
        sticky: bool = False,
        metrics: Sequence[Mapping[str, Any]] | None = None,
    ) -> RolloutPlan:
        """Read a plan from a route's `rollout` section.

        Args:
            rollout: the section as plain values or as the schema's model; what it leaves out (or gives as
                None) comes from its preset.
            sticky: whether the route's split assigns by a key rather than by request.
            metrics: the route's metrics as plain values; None takes them from a plan's `source`.

        Raises:
            PlanError: with everything that is wrong, each at its path below the section.
        """
        load_all()
        return _Reader(rollout, sticky=sticky, metrics=metrics).plan()

    @staticmethod
    def problems(
        rollout: object = None, metrics: Sequence[Mapping[str, Any]] | None = None
    ) -> list[PlanProblem]:
        """What is wrong with a `rollout` section; empty when a plan can be made of it."""
        try:
            RolloutPlan.from_config(rollout, metrics=metrics)
        except PlanError as error:
            return error.problems
        return []


class _Reader:
    """Reads one section and collects what is wrong with it."""

    def __init__(self, rollout: object, *, sticky: bool, metrics: Sequence[Mapping[str, Any]] | None) -> None:
        self._given = _plain(rollout)
        if metrics:
            self._given = {**self._given, "metrics": [dict(metric) for metric in metrics]}
        self._metrics = tuple(
            RouteMetric.from_config(place, metric)
            for place, metric in enumerate(self._given.get("metrics") or ())
        )
        self._sticky = sticky
        self._faults: list[PlanProblem] = []

    def plan(self) -> RolloutPlan:
        name = str(self._given.get("preset") or "balanced")
        if name not in PRESETS:
            self._fault(("preset",), f"{name!r} is not a preset", f"use one of {', '.join(PRESETS)}")
        preset = PRESETS.get(name, PRESETS["balanced"])
        steps = self._steps(preset)
        expiry, on_expiry = self._duration("expiry", preset.expiry_s), self._on("on_expiry", OnExpiry.HOLD)
        warm_up = _plain(self._given.get("warm_up"))
        plan = RolloutPlan(
            enabled=self._get("enabled", True) is not False,
            preset=name,
            steps=steps,
            guardrails=self._guardrails(preset, steps),
            alpha=self._probability("alpha", preset.alpha),
            alpha_promote=self._probability("alpha_promote", preset.alpha_promote),
            interval_s=self._duration("interval", self._duration("check_interval_seconds", 1.0)),
            expiry_s=expiry,
            on_expiry=on_expiry,
            no_data_expiry_s=self._duration("no_data_expiry", expiry)
            if "no_data_expiry" in self._given
            else None,
            on_no_data=self._on("on_no_data", on_expiry) if "on_no_data" in self._given else None,
            webhooks=tuple(WebhookGate.from_plain(_plain(each)) for each in self._get("webhooks", ())),
            freezes=tuple(Freeze.from_plain(_plain(each)) for each in self._get("freezes", ())),
            after_promotion=AfterPromotion.from_plain(_plain(self._get("after_promotion", {}))),
            auto_start=self._get("auto_start", True) is not False,
            min_requests=self._count("min_requests_before_check", 0),
            burst_s=self._duration("burst", preset.burst_s),
            margins=preset.margins,
            sticky=self._sticky,
            warm_up=WarmUp(
                requests=self._counted(("warm_up", "requests"), warm_up.get("requests", 0), 0),
                seconds=self._parsed(
                    ("warm_up", "duration"), warm_up.get("duration", 0), parse_duration, 0.0
                ),
            ),
            metrics=self._metrics,
            source=self._given,
        )
        if self._faults:
            raise PlanError(self._faults)
        return plan

    def _fault(self, path: Path, problem: str, remedy: str) -> None:
        self._faults.append(PlanProblem(path=path, problem=problem, remedy=remedy))

    def _get(self, key: str, default: Any) -> Any:
        value = self._given.get(key)
        return default if value is None else value

    def _duration(self, key: str, default: float) -> float:
        return self._parsed((key,), self._get(key, default), parse_duration, default)

    def _parsed(self, path: Path, value: object, parse: Any, default: float) -> float:
        try:
            return float(parse(value))
        except InvalidValueError as error:
            self._fault(path, error.problem, error.remedy)
            return default

    def _count(self, key: str, default: int) -> int:
        return self._counted((key,), self._get(key, default), default)

    def _counted(self, path: Path, value: object, default: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self._fault(path, f"{value!r} is not a number of requests", "write a whole number from 0")
            return default
        return value

    def _probability(self, key: str, default: float) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 0.5:
            self._fault((key,), f"{value!r} is not a chance that can be given away", "write e.g. 0.01")
            return default
        return float(value)

    def _on(self, key: str, default: OnExpiry) -> OnExpiry:
        match self._get(key, default):
            case OnExpiry() as same:
                return same
            case "hold":
                return OnExpiry.HOLD
            case "stable" | "rollback":
                return OnExpiry.STABLE
            case other:
                self._fault((key,), f"{other!r} is not an action", "use hold or rollback")
                return default

    def _steps(self, preset: Preset) -> tuple[Step, ...]:
        duration = self._duration("duration", preset.duration_s)
        requests = self._count("requests", preset.requests)
        given = self._get("steps", preset.weights)
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            self._fault(("steps",), "there is no step", "write a list such as [5%, 25%, 100%]")
            given = preset.weights
        steps: list[Step] = []
        for i, entry in enumerate(given):
            step = _plain(entry) if not isinstance(entry, (str, int, float)) else {"weight": entry}
            steps.append(self._step(i, step, duration, requests))
            before = steps[i - 1].weight if i else 0.0
            if steps[i].shadow is not None and before == 0:
                continue
            if not math.isnan(steps[i].weight + before) and not steps[i].weight > before:
                self._fault(
                    ("steps", i),
                    f"{steps[i].weight * 100:g}% does not rise above the {before * 100:g}% before it",
                    "list the weights in rising order, the first above 0%",
                )
        return tuple(self._baked(steps))

    def _baked(self, steps: list[Step]) -> list[Step]:
        """The steps with the bake as the last one, in place of a step that leaves stable nothing."""
        given = _plain(self._get("bake", {}))
        if not given:
            return steps
        holdback = self._parsed(("bake", "holdback"), given.get("holdback", 0.01), parse_fraction, 0.01)
        bake = Step(
            weight=1.0 - holdback,
            duration_s=self._parsed(("bake", "duration"), given.get("duration"), parse_duration, 0.0),
            requests=0,
            bake=True,
        )
        manual = any(step.manual for step in steps if step.weight >= bake.weight)
        return [*(step for step in steps if step.weight < bake.weight), replace(bake, manual=manual)]

    def _step(self, i: int, given: Mapping[str, Any], duration: float, requests: int) -> Step:
        own_duration, own_requests = given.get("duration"), given.get("requests")
        if given.get("shadow") is not None:
            return Step(
                weight=0.0,
                duration_s=self._parsed(("steps", i, "duration"), own_duration or 0.0, parse_duration, 0.0),
                requests=0,
                manual=given.get("approval") == "manual",
                shadow=ShadowGate.from_plain(given),
            )
        return Step(
            # Not a number stands for a weight that has been complained about already.
            weight=self._parsed(("steps", i, "weight"), given.get("weight"), parse_fraction, math.nan),
            duration_s=duration
            if own_duration is None
            else self._parsed(("steps", i, "duration"), own_duration, parse_duration, duration),
            requests=requests
            if own_requests is None
            else self._counted(("steps", i, "requests"), own_requests, requests),
            manual=given.get("approval") == "manual" or given.get("manual") is True,
            paced=given.get("paced") is True,
        )

    def _guardrails(self, preset: Preset, steps: Sequence[Step]) -> tuple[Guardrail, ...]:
        found: list[Guardrail] = []
        for path, entry in [*flat_guardrails(self._given), *self._named()]:
            guardrail = self._guardrail(path, entry, replace(preset.margins, metrics=self._metrics))
            if guardrail is None:
                continue
            if guardrail.name in {other.name for other in found}:
                self._fault(path, f"there are two guardrails {guardrail.name!r}", "give one another name")
            found.append(guardrail)
        if steps and steps[0].weight >= 1 and any(guardrail.compares for guardrail in found):
            self._fault(
                ("steps", 0),
                "leaves no request to stable, so nothing can be compared",
                "begin below 100%, for example with 10%",
            )
        return tuple(found)

    def _named(self) -> list[tuple[Path, Mapping[str, Any]]]:
        given = self._given.get("guardrails")
        if given is None:
            # The flat form is complete by itself: its four rules are the guardrails.
            return [] if flat_guardrails(self._given) else [((), entry) for entry in DEFAULT_GUARDRAILS]
        return [(("guardrails", i), _plain(entry)) for i, entry in enumerate(given)]

    def _guardrail(self, path: Path, entry: Mapping[str, Any], margins: Defaults) -> Guardrail | None:
        parameters = {key: value for key, value in entry.items() if key not in ("kind", "mode", "name")}
        kind = Guardrail.kinds.get(str(entry.get("kind")))
        if kind is None:
            known = ", ".join(sorted(Guardrail.kinds))
            self._fault(
                (*path, "kind"), f"there is no guardrail kind {entry.get('kind')!r}", f"use one of {known}"
            )
            return None
        mode = str(entry.get("mode") or "enforce").upper()
        if mode not in Mode.__members__:
            known = ", ".join(mode.name.lower() for mode in Mode)
            self._fault((*path, "mode"), f"{entry.get('mode')!r} is not a mode", f"use one of {known}")
            mode = "ENFORCE"
        name = str(entry.get("name") or kind.kind)
        try:
            return kind.from_config(parameters, name=name, mode=Mode[mode], defaults=margins)
        except GuardrailConfigError as error:
            # The flat form has a place for the whole guardrail, none for its parameters.
            place = (*path, *error.path) if path[:1] == ("guardrails",) else path
            self._fault(place, error.problem, error.remedy)
            return None


def _plain(section: object) -> Mapping[str, Any]:
    """A section as plain values, whether it comes from the schema's model or from JSON."""
    if section is None:
        return {}
    if isinstance(section, Mapping):
        return section
    dump = getattr(section, "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(section).__name__} is not a section of a configuration")
    plain: Mapping[str, Any] = dump(mode="json", by_alias=True)
    return plain
