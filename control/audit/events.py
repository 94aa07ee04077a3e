"""What may stand in the audit log: a documented class an event, found by its name; here those of rollouts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import ClassVar


class Severity(IntEnum):
    """How loudly an event asks to be read."""

    INFO = 0
    WARNING = 1
    ERROR = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event before it has a place in the log: everything but who, when and the sequence number.

    `source` is ``system`` for what Headgate itself saw happen, else how it was told: ``api`` or ``library``.
    """

    type: str
    severity: str
    resource_type: str
    resource_id: str
    action: str
    details: dict[str, object]
    tags: tuple[str, ...] = ()
    source: str = "system"
    personal: Mapping[str, object] = field(default_factory=dict)
    """What may have to be erased one day; the log keeps a salted hash of it only."""


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """What happened to one resource. A subclass names the event and adds what is worth keeping about it.

    Fields must be plain JSON values. They are written once and never changed, so a field may be added to
    a class but none renamed or given another meaning.
    """

    name: ClassVar[str]
    severity: ClassVar[Severity] = Severity.INFO
    resource_type: ClassVar[str]
    action: ClassVar[str]
    kinds: ClassVar[dict[str, type["AuditEvent"]]] = {}

    resource_id: str
    tags: list[str] = field(default_factory=list)

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        if abstract:
            return
        if cls.name in AuditEvent.kinds:
            raise TypeError(f"audit event {cls.name!r} is registered twice")
        AuditEvent.kinds[cls.name] = cls

    def details(self) -> dict[str, object]:
        """Everything the event says besides who, when and about what."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OUTSIDE}

    def draft(self) -> Draft:
        """The event as it is appended."""
        return Draft(
            type=self.name,
            severity=self.severity.word,
            resource_type=self.resource_type,
            resource_id=self.resource_id,
            action=self.action,
            details=self.details(),
            tags=tuple(self.tags),
        )


_OUTSIDE = frozenset({"resource_id", "tags"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who caused an event, and from where."""

    actor: str
    address: str = ""
    user_agent: str = ""
    session: str = ""


CONTROLLER = Origin(actor="controller")
"""The control loop itself, when it decides by evidence or by the clock."""


@dataclass(frozen=True, kw_only=True)
class ConfigurationChanged(AuditEvent):
    """A configuration that differs from the one before came into force; the resource is its source."""

    name = "configuration_changed"
    resource_type = "configuration"
    action = "apply"

    digest: str
    previous: str
    revision: int
    changes: list[str]


@dataclass(frozen=True, kw_only=True)
class RevisionSkipped(AuditEvent):
    """A proxy already knew a newer revision than the store: a database was replaced or restored."""

    name = "revision_skipped"
    severity = Severity.WARNING
    resource_type = "table"
    action = "skip"

    known: int
    seen: int
    revision: int


@dataclass(frozen=True, kw_only=True)
class _RolloutDecided(AuditEvent, abstract=True):
    """What every decision about a rollout has in common; the resource is the rollout."""

    resource_type = "rollout"

    route: str
    decision: str
    reason: str
    from_step: int
    to_step: int
    from_weight: float
    to_weight: float
    revision: int
    needs: list[dict[str, object]] = field(default_factory=list)
    """What undecided guardrails still needed: guardrail, verdict, requests, seconds."""


@dataclass(frozen=True, kw_only=True)
class RolloutStarted(_RolloutDecided):
    """The canary got its first weight."""

    name = "rollout_started"
    action = "start"


@dataclass(frozen=True, kw_only=True)
class RolloutAdvanced(_RolloutDecided):
    """The evidence and the time of a step allowed the next one: a ramp step."""

    name = "rollout_advanced"
    action = "advance"


@dataclass(frozen=True, kw_only=True)
class RolloutPromoted(_RolloutDecided):
    """The canary takes all requests of the route from here on."""

    name = "rollout_promoted"
    action = "promote"


@dataclass(frozen=True, kw_only=True)
class RolloutRolledBack(_RolloutDecided):
    """The canary was condemned: it gets no request, and its release is quarantined."""

    name = "rollout_rolled_back"
    severity = Severity.ERROR
    action = "roll_back"


@dataclass(frozen=True, kw_only=True)
class RolloutHeld(_RolloutDecided):
    """The rollout stays where it is because something forbids both going on and going back."""

    name = "rollout_held"
    severity = Severity.WARNING
    action = "hold"


@dataclass(frozen=True, kw_only=True)
class RolloutPaused(_RolloutDecided):
    """The rollout keeps its weight and does not advance; guardrails still guard it."""

    name = "rollout_paused"
    action = "pause"


@dataclass(frozen=True, kw_only=True)
class RolloutResumed(_RolloutDecided):
    """A paused rollout goes on from the step it was paused in."""

    name = "rollout_resumed"
    action = "resume"


@dataclass(frozen=True, kw_only=True)
class RolloutAborted(_RolloutDecided):
    """The rollout was ended without blame: all requests go to stable, nothing is quarantined."""

    name = "rollout_aborted"
    severity = Severity.WARNING
    action = "abort"


@dataclass(frozen=True, kw_only=True)
class RolloutExpired(_RolloutDecided):
    """The evidence stayed undecided for longer than the plan allows."""

    name = "rollout_expired"
    severity = Severity.WARNING
    action = "expire"


@dataclass(frozen=True, kw_only=True)
class RolloutRestarted(_RolloutDecided):
    """A named person started the rollout anew, with fresh evidence and a new epoch."""

    name = "rollout_restarted"
    severity = Severity.WARNING
    action = "restart"


@dataclass(frozen=True, kw_only=True)
class RolloutSuperseded(_RolloutDecided):
    """A configuration put something else in the rollout's place before it had ended."""

    name = "rollout_superseded"
    severity = Severity.WARNING
    action = "supersede"


@dataclass(frozen=True, kw_only=True)
class RolloutAlarmed(_RolloutDecided):
    """After its promotion the canary failed more than control did before: a person should look."""

    name = "rollout_alarmed"
    severity = Severity.ERROR
    action = "alarm"


@dataclass(frozen=True, kw_only=True)
class FreezeOverridden(AuditEvent):
    """A named person widened a rollout although a freeze was open; the resource is the rollout."""

    name = "freeze_overridden"
    severity = Severity.WARNING
    resource_type = "rollout"
    action = "override_freeze"

    route: str
    freeze: str
    until: float | None
    """Unix seconds; None = no end was known."""
    command: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RolloutCreated(AuditEvent):
    """A configuration asked for a rollout that did not exist; the resource is the rollout."""

    name = "rollout_created"
    resource_type = "rollout"
    action = "create"

    route: str
    identity: str
    stable: str
    canary: str
    release: str
    epoch: int
    plan: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class RolloutReinstated(AuditEvent):
    """A configuration came back to upstreams whose rollout had ended: it is in charge again, as it was."""

    name = "rollout_reinstated"
    severity = Severity.WARNING
    resource_type = "rollout"
    action = "reinstate"

    route: str
    state: str


@dataclass(frozen=True, kw_only=True)
class RolloutPlanChanged(AuditEvent):
    """A configuration changed the plan of a rollout that is already there; it applies from now on."""

    name = "rollout_plan_changed"
    resource_type = "rollout"
    action = "change_plan"

    route: str
    before: dict[str, object]
    after: dict[str, object]
    from_step: int
    to_step: int
    from_weight: float
    to_weight: float


@dataclass(frozen=True, kw_only=True)
class ReleaseQuarantined(AuditEvent):
    """A rolled-back release may not be served until a named person lifts this; the resource is its digest."""

    name = "release_quarantined"
    severity = Severity.ERROR
    resource_type = "release"
    action = "quarantine"

    route: str
    variant: str
    release: str
    rollout: str
    decision: str
    reason: str
    deployment: str = ""
    """What condemned it where there was no rollout."""


@dataclass(frozen=True, kw_only=True)
class QuarantineLifted(AuditEvent):
    """A named person allowed a quarantined release to be tried again; the resource is its digest."""

    name = "quarantine_lifted"
    severity = Severity.WARNING
    resource_type = "release"
    action = "lift_quarantine"

    route: str
    variant: str
    release: str
    rollout: str
    reason: str
    deployment: str = ""


DECIDED: dict[str, type[_RolloutDecided]] = {
    "started": RolloutStarted,
    "advanced": RolloutAdvanced,
    "promoted": RolloutPromoted,
    "rolled_back": RolloutRolledBack,
    "held": RolloutHeld,
    "paused": RolloutPaused,
    "resumed": RolloutResumed,
    "aborted": RolloutAborted,
    "expired": RolloutExpired,
    "restarted": RolloutRestarted,
    "superseded": RolloutSuperseded,
    "alarmed": RolloutAlarmed,
}
"""The event that a decision of each kind writes."""
