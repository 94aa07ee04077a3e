"""The part of the schema that says how a release is ramped and judged."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, model_validator

from config.base import Fault, Model, as_tuple, refuse, repeated
from config.fields import (
    FRACTION_SCHEMA,
    Duration,
    ErrorChance,
    Fraction,
    Name,
    PositiveDuration,
    Text,
    Weight,
)
from config.freezes import Freeze
from config.values import InvalidValueError, format_fraction, parse_fraction
from config.webhooks import GateWebhook

Preset = Literal["conservative", "balanced", "aggressive"]
# More than a person can follow; it also bounds what a generator makes.
STEPS_MAX = 100


class Guardrail(Model):
    """A condition that must hold while a release is ramped; every kind brings keys of its own."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[Text, Field(min_length=1, max_length=64)]
    """Which condition, for example `error_rate`."""
    name: Name | None = None
    """What it is called in decisions; left out = its kind. Two of one kind need names."""
    mode: Literal["enforce", "warn", "dry_run"] = "enforce"
    """`enforce` decides; `warn` only reports; `dry_run` only records."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The kind's own keys, as they were written."""
        return dict(self.__pydantic_extra__ or {})


class Pace(Model):
    """What it takes to leave a step."""

    duration: Duration | None = None
    """The least time at this weight; left out = the rollout's."""
    requests: Annotated[int, Field(ge=0)] | None = None
    """The least requests the canary must have answered at this weight; left out = the rollout's."""
    approval: Literal["automatic", "manual"] = "automatic"
    """`manual` waits here for `headgate promote`."""


class WarmUp(Model):
    """The beginning of each step that is not judged."""

    requests: Annotated[int, Field(ge=0)] = 0
    """Until the canary has answered so many requests."""
    duration: Duration = 0.0
    """For so long, too."""


class Step(Pace):
    """One weight of the canary and what it takes to leave it."""

    weight: Weight
    """Share of the requests that the canary gets."""
    paced: bool = False
    """Whether steps after it may be left out when the evidence suffices for them already."""


class ShadowStep(Model):
    """A step without requests: the version must first show itself as a shadow of the route."""

    shadow: Name
    """The shadow whose answers are judged; it copies to the canary's upstream."""
    agreement: Annotated[Fraction, Field(gt=0, lt=1)] = 0.99
    """Share of its answers that must be shown to agree with stable's, such as `99%`."""
    latency_ratio: Annotated[float, Field(ge=0, le=1000)] = 1.5
    """What the median of its time over stable's must be shown to stay below; 0 = not asked."""
    requests: Annotated[int, Field(ge=0)] | None = None
    """The least pairs that must have been compared; left out = as the evidence needs."""
    duration: Duration | None = None
    """The least time; left out = none."""
    approval: Literal["automatic", "manual"] = "automatic"
    """`manual` waits here for `headgate promote`."""

    @property
    def weight(self) -> float:
        """None of the requests go to the canary meanwhile."""
        return 0.0


class Linear(Model):
    """Weights the same distance apart."""

    start: Annotated[Weight, Field(alias="from")]
    """The first weight."""
    end: Annotated[Weight, Field(alias="to")]
    """The last weight."""
    count: Annotated[int, Field(ge=2, le=STEPS_MAX)]
    """How many steps, both ends included."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        refuse("linear", _not_rising(self.start, self.end))
        return self

    def weights(self) -> list[float]:
        """The weights in rising order, rounded to a millionth so that a tenth is 0.1."""
        stride = (self.end - self.start) / (self.count - 1)
        return [round(self.start + stride * i, 6) for i in range(self.count - 1)] + [self.end]


class Geometric(Model):
    """Weights each a fixed factor above the one before."""

    start: Annotated[Weight, Field(alias="from")]
    """The first weight."""
    end: Annotated[Weight, Field(alias="to")]
    """The last weight; always reached, with a shorter last stride if need be."""
    factor: Annotated[float, Field(ge=1.1, le=1000)] = 2.0
    """What each weight is multiplied by."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        refuse("geometric", _not_rising(self.start, self.end))
        return self

    def weights(self) -> list[float]:
        """The weights in rising order, rounded to a millionth."""
        found = [self.start]
        while (following := round(found[-1] * self.factor, 6)) < self.end:
            found.append(following)
        return [*found, self.end]


class LinearSteps(Pace):
    """A generator of evenly spaced steps."""

    linear: Linear
    """From where, to where, in how many steps."""


class GeometricSteps(Pace):
    """A generator of multiplying steps."""

    geometric: Geometric
    """From where, to where, by which factor."""


class EvidenceSteps(Pace):
    """A generator of steps that are gone through as fast as the evidence allows."""

    evidence: Geometric
    """From where, to where, by which factor at least."""


def _not_rising(start: float, end: float) -> list[Fault]:
    problem = f"{format_fraction(end)} is not above the {format_fraction(start)} it starts from"
    return [] if end > start else [Fault(path=("to",), problem=problem, remedy="ramp upwards")]


def _one_entry(value: object) -> AnySteps:
    if isinstance(value, (Step, ShadowStep)):
        return value
    if not isinstance(value, dict):
        return Step.model_validate({"weight": value})
    if "linear" in value:
        return LinearSteps.model_validate(value)
    if "geometric" in value:
        return GeometricSteps.model_validate(value)
    if "evidence" in value:
        return EvidenceSteps.model_validate(value)
    if "shadow" in value:
        return ShadowStep.model_validate(value)
    return Step.model_validate(value)


AnySteps = Step | LinearSteps | GeometricSteps | EvidenceSteps | ShadowStep
StepEntry = Annotated[
    Step | LinearSteps | GeometricSteps | EvidenceSteps | ShadowStep,
    BeforeValidator(
        _one_entry,
        json_schema_input_type=Weight | Step | LinearSteps | GeometricSteps | EvidenceSteps | ShadowStep,
    ),
]
_ENTRIES: TypeAdapter[tuple[AnySteps, ...]] = TypeAdapter(tuple[StepEntry, ...])


def _read_steps(value: object) -> tuple[Step | ShadowStep, ...] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        raise InvalidValueError("steps is not a list", "put a dash or brackets around it")
    if not isinstance(value, (list, tuple)):
        raise InvalidValueError.about(value, "is not a list", "write one such as [5%, 25%, 100%]")
    steps: list[Step | ShadowStep] = []
    for entry in _ENTRIES.validate_python(tuple(value)):
        if isinstance(entry, (Step, ShadowStep)):
            steps.append(entry)
            continue
        pace = entry.model_dump(include=set(Pace.model_fields))
        if isinstance(entry, EvidenceSteps):
            # Time would only slow it down, so there is none unless it is asked for.
            pace = {"duration": 0.0, "requests": 0, **pace, "paced": True}
        steps.extend(Step(weight=weight, **pace) for weight in _weights(entry))
    if not steps:
        raise InvalidValueError("there is no step", "write at least one weight, for example [5%, 100%]")
    if len(steps) > STEPS_MAX:
        raise InvalidValueError(f"{len(steps)} steps are too many", f"use at most {STEPS_MAX}")
    refuse("steps", _falling(steps, value))
    return tuple(steps)


def _weights(entry: LinearSteps | GeometricSteps | EvidenceSteps) -> list[float]:
    match entry:
        case LinearSteps():
            return entry.linear.weights()
        case GeometricSteps():
            return entry.geometric.weights()
        case EvidenceSteps():
            return entry.evidence.weights()


def _falling(steps: list[Step | ShadowStep], entries: list[object] | tuple[object, ...]) -> list[Fault]:
    # With generators the positions differ from those in the file, so the list as a whole is named.
    one_to_one = len(steps) == len(entries)
    if all(isinstance(step, ShadowStep) for step in steps):
        problem = "the canary would get every request without having had one"
        return [
            Fault(path=(), problem=problem, remedy="write weights behind the shadow step: [..., 5%, 100%]")
        ]
    faults = []
    for i, (before, after) in enumerate(pairwise(steps), start=1):
        if after.weight > before.weight or (after.weight == 0 and before.weight == 0):
            continue
        problem = f"{format_fraction(after.weight)} comes after {format_fraction(before.weight)}"
        remedy = "list the weights in rising order"
        if isinstance(after, ShadowStep):
            problem, remedy = "the canary has requests already", "put shadow steps first"
        faults.append(Fault(path=(i,) if one_to_one else (), problem=problem, remedy=remedy))
    return faults


class Bake(Model):
    """A last observation with nearly all requests, before the canary is promoted."""

    duration: PositiveDuration
    """How long it lasts."""
    holdback: Annotated[float, BeforeValidator(parse_fraction), WithJsonSchema(FRACTION_SCHEMA)] = 0.01
    """Share of the requests that stable keeps meanwhile, to compare with; at most 20%."""

    @model_validator(mode="after")
    def _small(self) -> Self:
        problem = f"{format_fraction(self.holdback)} is no small part"
        fault = Fault(path=("holdback",), problem=problem, remedy="hold back at most 20%")
        refuse("bake", [fault] if self.holdback > 0.2 else [])
        return self


class AfterPromotion(Model):
    """How a promoted canary is watched, with no control left to compare with."""

    duration: Duration = 86400.0
    """How long it is watched; 0 = not at all."""
    action: Literal["page", "rollback"] = "page"
    """What follows when it fails more than control did before: a decision that alarms, or a rollback."""


class Rollout(Model):
    """How the canary of a route is ramped, judged and, if need be, rolled back."""

    enabled: bool = True
    """`false` keeps the split's own weight and judges nothing."""
    preset: Preset = "balanced"
    """Where values that are left out come from: `conservative`, `balanced` or `aggressive`."""
    steps: Annotated[
        tuple[Step | ShadowStep, ...] | None,
        BeforeValidator(_read_steps, json_schema_input_type=tuple[StepEntry, ...]),
    ] = None
    """The weights to go through, rising; left out = the preset's."""
    guardrails: Annotated[tuple[Guardrail, ...] | None, BeforeValidator(as_tuple), Field(max_length=100)] = (
        None
    )
    """What must hold; left out = the preset's."""
    alpha: ErrorChance | None = None
    """Chance of rolling back a canary that is no worse, over the whole rollout; left out = the preset's."""
    alpha_promote: ErrorChance | None = None
    """Chance of promoting a canary that is worse than the margin; left out = the preset's."""
    interval: PositiveDuration | None = None
    """Time between two analyses; left out = 1s."""
    duration: Duration | None = None
    """The least time at each step that does not say otherwise; left out = the preset's."""
    requests: Annotated[int, Field(ge=0)] | None = None
    """The least canary requests at each step that does not say otherwise; left out = the preset's."""
    expiry: Duration | None = None
    """How long a step may stay undecided; 0 = for ever; left out = the preset's."""
    on_expiry: Literal["hold", "rollback"] = "hold"
    """What happens then: `hold` waits for a person, `rollback` returns to stable."""
    no_data_expiry: Duration | None = None
    """The same for a step at which the canary got nothing to be judged by; left out = `expiry`."""
    on_no_data: Literal["hold", "rollback"] | None = None
    """What happens then; left out = `on_expiry`."""
    bake: Bake | None = None
    """A last observation after the last step; left out = promoted at once when that is over."""
    after_promotion: AfterPromotion | None = None
    """How the canary is watched once it has been promoted; left out = an alarm within a day."""
    webhooks: Annotated[tuple[GateWebhook, ...] | None, BeforeValidator(as_tuple), Field(max_length=10)] = (
        None
    )
    """Services that are asked before the canary gets more requests; left out = none."""
    freezes: Annotated[tuple[Freeze, ...] | None, BeforeValidator(as_tuple), Field(max_length=100)] = None
    """Times in which it does not, in addition to those of the whole configuration; left out = none."""
    burst: Duration | None = None
    """Failures within a time as short as this do not condemn a release; 0 = off; left out = the preset's."""
    warm_up: WarmUp | None = None
    """What is left out at the beginning of each step, while caches fill; left out = nothing."""
    auto_start: bool = True
    """Whether the rollout starts with the process; `false` waits for `headgate promote`."""
    error_rate_threshold: Fraction | None = None
    """Older flat form: the highest error rate of the canary."""
    latency_threshold_multiplier: Annotated[float, Field(ge=1, le=1000)] | None = None
    """Older flat form: how many times stable's p95 and p99 latency the canary may take."""
    min_requests_before_check: Annotated[int, Field(ge=0)] | None = None
    """Older flat form: the least canary requests before it is judged."""
    check_interval_seconds: PositiveDuration | None = None
    """Older flat form of `interval`."""

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        both = self.interval is not None and self.check_interval_seconds is not None
        fault = Fault(
            path=("check_interval_seconds",), problem="says the same as interval", remedy="remove it"
        )
        names = [webhook.name for webhook in self.webhooks or ()]
        refuse("rollout", ([fault] if both else []) + repeated("webhooks", names))
        return self
