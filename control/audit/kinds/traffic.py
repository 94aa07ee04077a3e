"""Events about where requests go, apart from rollouts; the resource is the route."""

from dataclasses import dataclass

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class TrafficDiverted(AuditEvent):
    """A proxy takes requests away from a canary that fails grossly, before any statistics."""

    name = "traffic_diverted"
    severity = Severity.ERROR
    resource_type = "route"
    action = "divert"

    variant: str
    node: str
    boot: str


@dataclass(frozen=True, kw_only=True)
class TrafficRestored(AuditEvent):
    """A proxy gives a diverted canary its requests again, or has ended."""

    name = "traffic_restored"
    severity = Severity.WARNING
    resource_type = "route"
    action = "restore"

    variant: str
    node: str
    boot: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class FreezeBegan(AuditEvent):
    """From here on nothing may be released; rollbacks stay possible."""

    name = "freeze_began"
    severity = Severity.WARNING
    resource_type = "freeze"
    action = "freeze"

    reason: str
    until: str = ""
    """Empty where no end is known."""


@dataclass(frozen=True, kw_only=True)
class FreezeEnded(AuditEvent):
    """Releases are possible again."""

    name = "freeze_ended"
    severity = Severity.WARNING
    resource_type = "freeze"
    action = "unfreeze"

    reason: str = ""
