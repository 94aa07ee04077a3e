"""What a guardrail is: a condition with evidence processes behind it, judged into a finding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar, Final, Protocol, Self

from config.values import InvalidValueError
from control.stats.events import Event, Tally
from control.stats.process import Process


class Verdict(IntEnum):
    """What an analysis says, from best to worst, so that the worst of several is their maximum."""

    PASS = 0
    """Harm beyond the tolerated margin has been excluded."""
    INCONCLUSIVE = 1
    """There is data, and it shows neither harm nor its absence yet."""
    NO_DATA = 2
    """Nothing to compare: never a pass, never a zero."""
    FAIL = 3
    """Harm has been shown."""


class Mode(IntEnum):
    """How far a guardrail's verdict reaches."""

    ENFORCE = 0
    """Takes part in the decision."""
    WARN = 1
    """Is judged by itself and reported; decides nothing."""
    DRY_RUN = 2
    """Is computed and stored only."""


class Family(IntEnum):
    """Kinds of harm; each has its share of the false-alarm budget."""

    ERRORS = 0
    LATENCY = 1
    CUSTOM = 2
    SHADOW = 3
    PLUMBING = 4
    """Checks of the comparison itself: they hold a rollout and never roll it back."""


FAMILY_WEIGHTS: Final[Mapping[Family, float]] = {
    Family.ERRORS: 0.5,
    Family.LATENCY: 0.3,
    Family.CUSTOM: 0.15,
    Family.SHADOW: 0.05,
    Family.PLUMBING: 0.0,
}
"""Prior shares of the evidence; over the families that are present they are scaled to one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of one arm with an interval that holds at every look."""

    value: float | None
    """None without data; a share of requests, or seconds."""
    low: float | None = None
    high: float | None = None
    n: int = 0
    """Requests behind the figure."""
    events: int = 0
    """Requests among them in which the event happened (a failure, a slow answer)."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)


NOTHING: Final = Measure(value=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A guardrail's judgement at one moment, with everything it was made from."""

    name: str
    kind: str
    mode: Mode
    family: Family
    verdict: Verdict
    unit: str
    """What the figures are: "share", "seconds" or "ratio"."""
    canary: Measure = NOTHING
    control: Measure = NOTHING
    threshold: float | None = None
    """The configured limit, in the guardrail's own unit."""
    ratio: Measure = NOTHING
    """Canary over control, stratified over blocks."""
    difference: Measure = NOTHING
    """Canary minus control, stratified over blocks."""
    log_e: float = 0.0
    """Natural logarithm of the e-value for harm."""
    log_e_safe: float = 0.0
    """Natural logarithm of the e-value for "no harm beyond the margin of this step"."""
    anytime_p: float = 1.0
    """min(1, 1 / largest e-value so far)."""
    weight: float = 0.0
    """Share of this guardrail in the combined e-value."""
    needed: int | None = None
    """About how many more canary requests the margin of this step takes if the canary equals control."""
    blamed: bool = False
    """Whether this guardrail's evidence alone reaches the rollback threshold."""
    holds: bool = False
    """Whether the rollout must wait because of it although no harm of the canary is shown."""
    reason: str
    """One sentence with the numbers."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; enumerations by name."""
        data = asdict(self)
        for key in ("mode", "family", "verdict"):
            data[key] = data[key].name.lower()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        plain = {field.name: data[field.name] for field in fields(cls)}
        plain["mode"] = Mode[data["mode"].upper()]
        plain["family"] = Family[data["family"].upper()]
        plain["verdict"] = Verdict[data["verdict"].upper()]
        for key in ("canary", "control", "ratio", "difference"):
            plain[key] = Measure.from_json(data[key])
        return cls(**plain)


class View(Protocol):
    """What a guardrail may look at when it judges."""

    level: int
    """How loose the margin of the current step is; 0 is the final one."""
    alpha: float
    alpha_promote: float

    def log_e(self, process: Process) -> float:
        """The natural logarithm of a process' value now."""

    def log_peak(self, process: Process) -> float:
        """The largest it has been."""

    def tally(self, event: Event) -> Tally:
        """What has been counted of an event since the rollout began."""


class GuardrailConfigError(InvalidValueError):
    """A guardrail's own parameter cannot be used; `path` is relative to the guardrail."""

    def __init__(self, path: tuple[str | int, ...], problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a preset says about margins where a guardrail does not."""

    promote_ratio: float = 1.2
    """A canary may be promoted when its error rate is shown below control's times this ..."""
    promote_rise: float = 0.005
    """... plus this share of requests."""
    latency_ratio: float = 1.25
    """Tolerated ratio of latency quantiles."""


class Guardrail(ABC):
    """A condition that must hold while a canary is ramped. Pure: no clock, no I/O.

    A subclass names its `kind`, and is then found by it in a rollout's configuration.
    """

    kind: ClassVar[str]
    family: ClassVar[Family]
    schema: ClassVar[Mapping[str, Any]]
    """JSON Schema of the kind's own parameters."""
    compares: ClassVar[bool] = True
    """Whether it needs concurrent control traffic."""
    kinds: ClassVar[dict[str, type[Guardrail]]] = {}

    def __init_subclass__(cls) -> None:
        if "kind" not in cls.__dict__:
            return
        if cls.kind in Guardrail.kinds:
            raise TypeError(f"guardrail kind {cls.kind!r} is registered twice")
        Guardrail.kinds[cls.kind] = cls

    def __init__(self, *, name: str, mode: Mode) -> None:
        self.name = name
        self.mode = mode

    @classmethod
    @abstractmethod
    def from_config(cls, parameters: Mapping[str, Any], *, name: str, mode: Mode, defaults: Defaults) -> Self:
        """Check the parameters an operator wrote and make the guardrail.

        Raises:
            GuardrailConfigError: naming the parameter, what is wrong and what would do.
        """

    @abstractmethod
    def processes(self) -> Sequence[Process]:
        """The evidence processes to keep for it; equal ones of several guardrails are kept once."""

    @abstractmethod
    def judge(self, view: View) -> Finding:
        """The verdict on what has been seen so far."""
