"""The part of the schema that says how a release is ramped and judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from config.base import Duration, Fault, Fraction, Model, PositiveDuration, as_tuple, refuse
from config.values import InvalidValueError

Preset = Literal["conservative", "balanced", "aggressive"]
# More steps than a person can follow; also bounds what a generator makes.
STEPS_MAX = 100


class Guardrail(Model):
    """A condition that must hold while a release is ramped; every kind brings keys of its own."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    """Which condition; the kinds are listed under Guardrails."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The kind's own keys, as they were written."""
        return dict(self.__pydantic_extra__ or {})


class Step(Model):
    """One weight of the canary and what it takes to leave it."""

    weight: Fraction
    """Share of the requests that the canary gets."""
    duration: Duration | None = None
    """The least time at this weight; left out = the rollout's."""
    requests: Annotated[int, Field(ge=0)] | None = None
    """The least requests the canary must have answered at this weight; left out = the rollout's."""
    approval: Literal["automatic", "manual"] = "automatic"
    """manual waits here for `headgate promote`."""


class Linear(Model):
    """Steps the same distance apart."""

    start: Annotated[Fraction, Field(alias="from")]
    """The first weight."""
    end: Annotated[Fraction, Field(alias="to")]
    """The last weight."""
    count: Annotated[int, Field(ge=2, le=STEPS_MAX)]
    """How many steps, both ends included."""

    @model_validator(mode="after")
    def _rising(self) -> Linear:
        refuse("linear", [_not_rising(self.start, self.end)] if self.end <= self.start else [])
        return self

    def weights(self) -> list[float]:
        """The weights in rising order, rounded to a millionth so that 10% is 0.1."""
        stride = (self.end - self.start) / (self.count - 1)
        return [round(self.start + stride * i, 6) for i in range(self.count - 1)] + [self.end]


class Geometric(Model):
    """Steps each a fixed factor above the one before."""

    start: Annotated[Fraction, Field(alias="from")]
    """The first weight, more than 0."""
    end: Annotated[Fraction, Field(alias="to")]
    """The last weight; always reached, with a shorter last stride if need be."""
    factor: Annotated[float, Field(ge=1.05, le=1000, strict=False)] = 2.0
    """What each weight is multiplied by."""

    @model_validator(mode="after")
    def _rising(self) -> Geometric:
        faults = [_not_rising(self.start, self.end)] if self.end <= self.start else []
        if self.start == 0:
            faults.append(
                Fault(path=("from",), problem="0 stays 0 whatever the factor", remedy="start at 1%")
            )
        refuse("geometric", faults)
        return self

    def weights(self) -> list[float]:
        """The weights in rising order, rounded to a millionth."""
        found = [self.start]
        while (following := round(found[-1] * self.factor, 6)) < self.end:
            found.append(following)
        return [*found, self.end]


class LinearStep(Model):
    """A generator of evenly spaced steps."""

    linear: Linear
    """From where, to where, in how many steps."""


class GeometricStep(Model):
    """A generator of multiplying steps."""

    geometric: Geometric
    """From where, to where, by which factor."""


def _not_rising(start: float, end: float) -> Fault:
    return Fault(path=("to",), problem=f"{end:g} is not above from ({start:g})", remedy="ramp upwards")


def _one_step(value: object) -> Step | LinearStep | GeometricStep:
    if isinstance(value, Step):
        return value
    if isinstance(value, dict):
        if "linear" in value:
            return LinearStep.model_validate(value)
        if "geometric" in value:
            return GeometricStep.model_validate(value)
        return Step.model_validate(value)
    return Step.model_validate({"weight": value})


StepEntry = Annotated[
    Step | LinearStep | GeometricStep,
    BeforeValidator(_one_step, json_schema_input_type=Fraction | Step | LinearStep | GeometricStep),
]
_STEPS: TypeAdapter[tuple[Step | LinearStep | GeometricStep, ...]] = TypeAdapter(tuple[StepEntry, ...])


def _all_steps(value: object) -> object:
    if value is None:
        return None
    # One generator alone reads better without the brackets.
    entries = [value] if isinstance(value, dict) else value
    if not isinstance(entries, (list, tuple)):
        raise InvalidValueError("steps is not a list", "write a list such as [5%, 25%, 100%]")
    steps: list[Step] = []
    for entry in _STEPS.validate_python(tuple(entries)):
        match entry:
            case LinearStep():
                steps.extend(Step(weight=weight) for weight in entry.linear.weights())
            case GeometricStep():
                steps.extend(Step(weight=weight) for weight in entry.geometric.weights())
            case Step():
                steps.append(entry)
    if not steps:
        raise InvalidValueError("there is no step", "write at least one weight, for example [5%, 100%]")
    if len(steps) > STEPS_MAX:
        raise InvalidValueError(f"{len(steps)} steps are too many", f"use at most {STEPS_MAX}")
    return tuple(steps)


class Rollout(Model):
    """How the canary of a route is ramped, judged and, if need be, rolled back."""

    enabled: bool = True
    """false keeps the split's own weight and judges nothing."""
    preset: Preset = "balanced"
    """Where values that are left out come from: conservative, balanced or aggressive."""
    steps: Annotated[
        tuple[Step, ...] | None,
        BeforeValidator(
            _all_steps, json_schema_input_type=tuple[StepEntry, ...] | LinearStep | GeometricStep | None
        ),
    ] = None
    """The weights to go through, rising; left out = the preset's."""
    guardrails: Annotated[tuple[Guardrail, ...] | None, BeforeValidator(as_tuple)] = None
    """What must hold; left out = the preset's."""
    alpha: Annotated[float, Field(gt=0, le=0.5, strict=False)] | None = None
    """Chance of rolling back a canary that is no worse, over the whole rollout; left out = the preset's."""
    alpha_promote: Annotated[float, Field(gt=0, le=0.5, strict=False)] | None = None
    """Chance of promoting one that is worse than the margin; left out = the preset's."""
    interval: PositiveDuration | None = None
    """Time between two analyses; left out = 1s."""
    duration: Duration | None = None
    """The least time at each step that does not say otherwise; left out = the preset's."""
    requests: Annotated[int, Field(ge=0)] | None = None
    """The least canary requests at each step that does not say otherwise; left out = the preset's."""
    expiry: Duration | None = None
    """How long a step may stay undecided; 0 = for ever; left out = the preset's."""
    on_expiry: Literal["hold", "rollback"] = "hold"
    """What happens then: hold waits for a person, rollback returns to stable."""
    auto_start: bool = True
    """Whether the rollout starts with the process; false waits for `headgate promote`."""
    error_rate_threshold: Fraction | None = None
    """The highest error rate of the canary, as the older flat form has it."""
    latency_threshold_multiplier: Annotated[float, Field(ge=1, le=1000, strict=False)] | None = None
    """How many times stable's p95 and p99 latency the canary may take, as the older flat form has it."""
    min_requests_before_check: Annotated[int, Field(ge=0)] | None = None
    """The least canary requests before it is judged, as the older flat form has it."""
    check_interval_seconds: PositiveDuration | None = None
    """The older flat form of interval."""

    @model_validator(mode="after")
    def _consistent(self) -> Rollout:
        faults: list[Fault] = []
        if self.interval is not None and self.check_interval_seconds is not None:
            faults.append(
                Fault(
                    path=("check_interval_seconds",),
                    problem="says the same as interval",
                    remedy="keep interval only",
                )
            )
        for i in range(1, len(self.steps or ())):
            assert self.steps is not None
            before, after = self.steps[i - 1].weight, self.steps[i].weight
            if after <= before:
                faults.append(
                    Fault(
                        path=("steps", i),
                        problem=f"{after * 100:g}% does not rise above the {before * 100:g}% before it",
                        remedy="list the weights in rising order",
                    )
                )
        refuse("rollout", faults)
        return self
