"""What a rollout's section says about the world around it: who is asked, what comes after a promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Self

from config.values import parse_duration
from control.calendar import Freeze, Frozen, frozen
from control.shadows.gate import ShadowFinding


class Answer(IntEnum):
    """What a service that was asked has said."""

    NONE = 0
    """Not asked yet, or no answer so far."""
    WAIT = 1
    APPROVE = 2
    REFUSE = 3
    LOST = 4
    """It gave no answer so often that it is not asked any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The last word of a service; `text` is its reason, or why there is no answer."""

    answer: Answer = Answer.NONE
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookGate:
    """A service that is asked before a canary gets more requests.

    Where it is and how it is signed is looked up in the configuration by its name.
    """

    name: str
    before: tuple[str, ...] = ("advance", "promote")
    interval_s: float = 10.0
    attempts: int = 5

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """A gate that the schema has checked."""
        return cls(
            name=plain["name"],
            before=tuple(plain.get("before", ("advance", "promote"))),
            interval_s=float(parse_duration(plain.get("interval", 10.0))),
            attempts=int(plain.get("attempts", 5)),
        )


class AfterAction(IntEnum):
    """What follows when a promoted canary gets worse."""

    PAGE = 0
    ROLLBACK = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterPromotion:
    """How long a promoted canary is watched, in seconds, and what follows; 0 = not at all."""

    duration_s: float = 86400.0
    action: AfterAction = AfterAction.PAGE

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """A section that the schema has checked."""
        return cls(
            duration_s=float(parse_duration(plain.get("duration", 86400.0))),
            action=AfterAction[str(plain.get("action", "page")).upper()],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a rollout needs to know besides its evidence: the time people go by, and what services said."""

    wall: float | None = None
    """Unix seconds; None = no calendar applies."""
    replies: Mapping[str, Reply] = field(default_factory=dict)
    """By name of the gate, about the step the rollout is at."""
    shadow: ShadowFinding | None = None
    """What the shadow of the step has shown so far; None = nothing is known of it."""
    ailing: str = ""
    """Which endpoint of a release that is deployed does not answer probes; empty = all do, or none is
    probed."""

    def reply(self, gate: WebhookGate) -> Reply:
        """The last word of a gate."""
        return self.replies.get(gate.name, _SILENT)

    def frozen(self, freezes: tuple[Freeze, ...]) -> Frozen | None:
        """The freeze that is open now."""
        return None if self.wall is None or not freezes else frozen(freezes, self.wall)


_SILENT: Final = Reply()
CALM: Final = Outside()
