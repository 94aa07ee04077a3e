"""What a guardrail is: a condition with evidence behind it, found by its kind and judged into a finding."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from config.values import InvalidValueError
from control.guardrails.finding import Family, Finding, Mode, Verdict
from control.metrics import RouteMetric
from control.stats.events import Event, Tally
from control.stats.process import HarmProcess, Process, SafeProcess


class View(Protocol):
    """What a guardrail may look at when it judges."""

    level: int
    """How loose the margin of the current step is; 0 is the final one."""
    alpha: float
    alpha_promote: float
    has_control: bool
    """Whether there is concurrent control traffic at the current step."""
    sample_ratio: SampleRatio

    def values(self, process: Process) -> npt.NDArray[np.float64]:
        """What each member of the process' bet has won, as logarithms."""

    def harm(self, process: HarmProcess) -> float:
        """Logarithm of a bet on harm."""

    def safe(self, process: SafeProcess) -> float:
        """Logarithm of a bet on the absence of harm, at the margin of the current step."""

    def overdispersion(self, event: Event) -> float:
        """How much more keys differ in an event than requests would; at least 1."""

    def tally(self, event: Event) -> Tally:
        """What has been counted of an event since the rollout began."""

    def answered(self) -> tuple[int, int]:
        """Requests answered in the current stage, by the canary and by control."""

    def threshold_s(self, event: Event) -> float | None:
        """Control's own threshold of a latency event in seconds; None while there is none."""

    def quantile_s(self, event: Event, arm: str) -> tuple[float | None, float | None, float | None]:
        """The event's quantile of an arm ("canary" or "control") in seconds, with an interval."""

    def metric_sums(self, metric: RouteMetric) -> tuple[int, ...]:
        """Of canary, then control: values of a metric in the current stage, sums of places and squares."""

    def threshold_bucket(self, event: Event) -> int | None:
        """Control's own threshold as a bucket; None while there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatio:
    """What is known about the share of requests that the canary really got."""

    n_canary: int = 0
    n_control: int = 0
    share: float | None = None
    """The share that was set; None when the caller did not say, or units cannot be counted."""
    log_e: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a preset says about margins where a guardrail does not."""

    promote_ratio: float = 1.2
    """A canary may be promoted when its error rate is shown below control's times this ..."""
    promote_rise: float = 0.005
    """... plus this share of requests."""
    latency_ratio: float = 1.25
    """Tolerated ratio of latency quantiles."""
    metrics: tuple[RouteMetric, ...] = ()
    """The route's own metrics, which are no margin but are looked up in the same place."""


class GuardrailConfigError(InvalidValueError):
    """A guardrail's own parameter cannot be used; `path` is relative to the guardrail."""

    def __init__(self, path: tuple[str | int, ...], problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.path = path


class Guardrail(ABC):
    """A condition that must hold while a canary is ramped. Pure: no clock, no I/O.

    A subclass names its `kind`, and is then found by it in a rollout's configuration.
    """

    kind: ClassVar[str]
    family: ClassVar[Family]
    schema: ClassVar[Mapping[str, Any]]
    """JSON Schema properties of the kind's own parameters."""
    compares: ClassVar[bool] = True
    """Whether it needs concurrent control traffic."""
    needs_streams: ClassVar[bool] = False
    """Whether it needs the route to look at streams of tokens."""
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
        """The evidence to keep for it; equal processes of several guardrails are kept once."""

    @abstractmethod
    def log_e(self, view: View) -> float:
        """Logarithm of the e-value for harm, as it enters the combined one."""

    @abstractmethod
    def judge(self, view: View, weight: float) -> Finding:
        """The verdict on what has been seen so far.

        Args:
            weight: this guardrail's share in the combined e-value; 1 when it is judged by itself.
        """


def verdict_of(view: View, *, log_e: float, weight: float, log_e_safe: float, data: bool) -> Verdict:
    """The verdict that two e-values give: harm first, then no data, then the absence of harm.

    Both are taken as they are at this look, not at their largest, which Ville's inequality would allow as
    well. Harm ends the rollout at the first look that sees it, so there is nothing to remember. The absence
    of harm is evidence against "beyond the margin all along": a canary that goes bad later is none of that,
    and would be promoted on what was true before. So its evidence may fall again, and all guardrails have to
    have theirs at the same look. Only where there is no control any more does a step rest on what was shown
    before (`control.rollout.gates`).
    """
    if weight > 0 and log_e + math.log(weight) >= math.log(1.0 / view.alpha):
        # What has been seen suffices, even where not everything that was asked for has.
        return Verdict.FAIL
    if not data:
        return Verdict.NO_DATA
    if log_e_safe >= math.log(1.0 / view.alpha_promote):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE
