"""A guardrail's judgement at one moment: verdict, figures with intervals, evidence and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any, Final, Self


class Verdict(IntEnum):
    """What an analysis says, from best to worst, so that the worst of several is their maximum."""

    PASS = 0
    """Harm beyond the tolerated margin has been excluded."""
    INCONCLUSIVE = 1
    """There is data, and it shows neither harm nor its absence yet."""
    NO_DATA = 2
    """Nothing to judge by: never a pass, never a zero."""
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
"""Prior shares of the evidence; scaled to one over the families that are enforced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of one arm, or of both, with an interval that holds at every look."""

    value: float | None
    """None without data."""
    low: float | None = None
    """None when there is no lower end yet."""
    high: float | None = None
    """None when there is no upper end yet."""
    n: int = 0
    """Requests behind the figure."""
    events: int = 0
    """Requests among them in which the event happened (a failure, a slow answer)."""


NOTHING: Final = Measure(value=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A guardrail's judgement with everything it was made from."""

    name: str
    kind: str
    mode: Mode
    family: Family
    verdict: Verdict
    unit: str
    """What the arms' figures are: "share" of requests, or "seconds"."""
    canary: Measure = NOTHING
    control: Measure = NOTHING
    ratio: Measure = NOTHING
    """Canary over control, stratified over blocks."""
    difference: Measure = NOTHING
    """Canary minus control, stratified over blocks."""
    threshold: float | None = None
    """The configured limit in the guardrail's own terms; `reason` says what it limits."""
    log_e: float = 0.0
    """Natural logarithm of the e-value for harm."""
    log_e_safe: float = 0.0
    """Natural logarithm of the e-value for "no harm beyond the margin of this step"."""
    weight: float = 0.0
    """Share of this guardrail in the combined e-value."""
    needed: int | None = None
    """About how many more canary requests this step needs if the canary is as good as control; None =
    unknown."""
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
            plain[key] = Measure(**data[key])
        return cls(**plain)
