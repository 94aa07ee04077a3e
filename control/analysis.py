"""From cumulative counts to a judgement: `observe` takes them in, `analyse` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from control.guardrails.base import Finding, Verdict
from control.plan import RolloutPlan
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES

Counts = npt.NDArray[np.int64]


def _no_histogram() -> Counts:
    return np.zeros(BUCKETS, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmCounts:
    """What one arm has counted since its stage began: cumulative, summed over nodes and boots.

    `total` and `first_byte` are latency histograms of successes, shape (361,). The last three fields are for
    routes with sticky keys and may be left out: how many different keys were seen, and requests and failures
    by 64 groups of keys (hashed independently of the routing), each of shape (64,).
    """

    started: int = 0
    finished: int = 0
    failed: int = 0
    outcomes: tuple[int, ...] = (0,) * OUTCOMES
    total: Counts
    first_byte: Counts
    diverted: int = 0
    lost: int = 0
    units: int | None = None
    group_requests: Counts | None = None
    group_failures: Counts | None = None

    @classmethod
    def nothing(cls) -> Self:
        """An arm that has seen no request."""
        return cls(total=_no_histogram(), first_byte=_no_histogram())


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the evidence says at one moment. Plain values, so it can be stored, shown and compared."""

    at: float
    verdict: Verdict
    """PASS: the margins of this step are met. FAIL: roll back. The rest: wait."""
    reason: str
    """One or two sentences with the numbers."""
    culprits: tuple[str, ...] = ()
    """Names of the guardrails to blame, or "combined", or "breaker"; empty unless the verdict is FAIL."""
    hold: str = ""
    """Why nothing may widen although no harm is shown (a broken comparison, a fault both arms share)."""
    hold_code: str = ""
    """The same as one word, for comparing two holds."""
    log_e: float = 0.0
    """Natural logarithm of the combined e-value of the enforced guardrails."""
    threshold: float
    """The combined e-value at which the canary is rolled back: 1 / alpha."""
    anytime_p: float = 1.0
    """min(1, 1 / largest combined e-value): valid however often it is looked at."""
    level: int = 0
    """How loose the margins of the step were; 0 is final."""
    findings: tuple[Finding, ...] = ()
    step_requests: int = 0
    """Canary requests answered in the current stage."""
    in_flight: tuple[int, int] = (0, 0)
    """Requests not yet answered in the current stage: canary, control."""
    diverted: int = 0
    """Canary requests the workers sent to stable in the current stage."""
    needed: int | None = None
    """About how many more canary requests this step needs if the canary is as good as control."""
    overdispersion: float = 1.0
    """phi: how much more keys differ from each other than chance would have it; evidence is divided by it."""
    sample_ratio_log_e: float = 0.0
    one_look: Mapping[str, Any] | None = None
    """z-test, Wald, Newcombe and Wilson intervals of the current stage: valid for one look only."""
    latency: Mapping[str, Any] | None = None
    """Quantiles of both arms in the current stage with intervals, in seconds."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; enumerations by name."""
        data: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        data["verdict"] = self.verdict.name.lower()
        data["findings"] = [finding.to_json() for finding in self.findings]
        data["culprits"] = list(self.culprits)
        data["in_flight"] = list(self.in_flight)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        plain = {field.name: data[field.name] for field in fields(cls)}
        plain["verdict"] = Verdict[data["verdict"].upper()]
        plain["findings"] = tuple(Finding.from_json(finding) for finding in data["findings"])
        plain["culprits"] = tuple(data["culprits"])
        plain["in_flight"] = (int(data["in_flight"][0]), int(data["in_flight"][1]))
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The running state of a rollout's analysis: of constant size, and enough to go on after a restart."""

    blocks: int = 0

    @classmethod
    def empty(cls) -> Self:
        """No evidence yet."""
        return cls()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; floats round-trip exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**data)


def observe(
    evidence: Evidence,
    plan: RolloutPlan,
    *,
    stage: str,
    canary: ArmCounts,
    control: ArmCounts,
    now: float,
    share: float | None = None,
) -> Evidence:
    """Take in the cumulative counts of a stage; the same counts twice change nothing.

    Args:
        stage: the stage the counts belong to. Earlier stages may still be reported, so that slow failures
            of their last requests are not lost; a stage that is not known begins a new one.
        now: seconds on a scale that never goes back.
        share: the expected share of the canary in both arms' requests, for the sample-ratio guardrail;
            None leaves it without data.
    """
    raise NotImplementedError


def analyse(evidence: Evidence, plan: RolloutPlan, now: float, *, step: int | None = None) -> Analysis:
    """Judge what has been observed.

    Args:
        step: index of the rollout's current step, which decides how loose the margins are; None = final.
    """
    raise NotImplementedError
