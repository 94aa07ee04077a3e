"""What a gate says of a rollout: one exit code, and what it was concluded from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

Json = Mapping[str, Any]


class GateCode(IntEnum):
    """Exit status of `headgate gate`.

    It differs from other commands in one point: a pipeline has to tell "undecided" from "bad", and 2 is what
    pipelines already read as undecided; so errors of use are 4 here.
    """

    PROMOTED = 0
    ROLLED_BACK = 1
    """The release did not make it: rolled back, aborted, or replaced by another one."""
    UNDECIDED = 2
    """Time ran out, or the rollout expired, before the evidence sufficed."""
    UNREACHABLE = 3
    """Nobody answered at the admin address."""
    ERROR = 4
    """Wrong usage, a refused token, no such route, a report that cannot be written."""


_CODES: Final[Mapping[str, GateCode]] = {
    "promoted": GateCode.PROMOTED,
    "rolled_back": GateCode.ROLLED_BACK,
    "aborted": GateCode.ROLLED_BACK,
    "superseded": GateCode.ROLLED_BACK,
    "expired": GateCode.UNDECIDED,
}


class Until(StrEnum):
    """What is waited for."""

    DECISION = "decision"
    SHADOW = "shadow"
    """The steps on which a shadow is compared, before the release gets a request of its own."""


def code_of(state: str) -> GateCode | None:
    """What a rollout's state means to a pipeline; None while it goes on."""
    return _CODES.get(state)


def outcome_of(rollout: Json, until: Until) -> GateCode | None:
    """What a rollout means to whoever waits for `until`; None while it goes on."""
    ended = code_of(str(rollout["state"]))
    if ended is None and until is Until.SHADOW and passed_shadows(rollout):
        return GateCode.PROMOTED
    return ended


def has_shadows(rollout: Json) -> bool:
    """Whether a shadow is compared at one of its steps."""
    return any(step.get("shadow") is not None for step in rollout["steps"])


def passed_shadows(rollout: Json) -> bool:
    """Whether it has left the last such step behind it."""
    return rollout["state"] != "pending" and not any(
        step.get("shadow") is not None for step in rollout["steps"][rollout["step"] :]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """How it came out."""

    code: GateCode
    route: str
    release: str
    """As the rollout names it; what was asked for, or empty, when there was no rollout."""
    reason: str
    rollout: Json | None
    """As the API showed it last; None when it was never seen."""
    decision: Json | None
    """The last decision about it with everything it was made from; None when there was none."""
    seconds: float
    """How long was waited."""
    until: Until = Until.DECISION

    @property
    def title(self) -> str:
        """One line: who, and how it ended."""
        name = self.release or (str(self.rollout["canary"]) if self.rollout else "the release")
        shadow = self.until is Until.SHADOW and self.code is GateCode.PROMOTED
        return f"{self.route}: {name} {'passed its shadow gate' if shadow else _WORDS[self.code]}"

    @property
    def analysis(self) -> Json | None:
        """The figures: of the decision that ended it, else of the last look."""
        ended = self.rollout is not None and code_of(str(self.rollout["state"])) is not None
        if ended and self.decision is not None and self.decision.get("analysis"):
            return dict(self.decision["analysis"])
        found = (self.rollout or {}).get("analysis")
        return dict(found) if found else None

    def to_json(self) -> dict[str, Any]:
        """For `-o json`."""
        return {
            "outcome": self.code.name.lower(),
            "exit_code": int(self.code),
            "route": self.route,
            "release": self.release,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "rollout": None if self.rollout is None else self.rollout["id"],
            "state": None if self.rollout is None else self.rollout["state"],
            "decision": None if self.decision is None else self.decision["id"],
            "analysis": self.analysis,
        }


_WORDS: Final = {
    GateCode.PROMOTED: "is promoted",
    GateCode.ROLLED_BACK: "did not make it",
    GateCode.UNDECIDED: "is undecided",
    GateCode.UNREACHABLE: "cannot be judged, Headgate does not answer",
    GateCode.ERROR: "cannot be judged",
}
