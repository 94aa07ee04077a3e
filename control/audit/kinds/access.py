"""Events about who may do what, and who looked at what."""

from dataclasses import dataclass, field

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class AccessGranted(AuditEvent):
    """A token was accepted from here on; the resource is its holder."""

    name = "access_granted"
    severity = Severity.WARNING
    resource_type = "access"
    action = "grant"

    role: str
    reason: str = ""
    token: str = ""
    """The first digits of the SHA-256 of the token."""


@dataclass(frozen=True, kw_only=True)
class AccessRevoked(AuditEvent):
    """A token is no longer accepted; the resource is its holder."""

    name = "access_revoked"
    severity = Severity.WARNING
    resource_type = "access"
    action = "revoke"

    role: str
    reason: str = ""
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class SecurityViolation(AuditEvent):
    """Something happened that nobody was allowed to do; the resource is what it was about."""

    name = "security_violation"
    severity = Severity.CRITICAL
    resource_type = "security"
    action = "violate"

    reason: str
    what: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataAccess(AuditEvent):
    """Somebody read a large part of what is kept here; the resource is what was read."""

    name = "data_access"
    resource_type = "data"
    action = "read"

    form: str = ""
    filters: dict[str, object] = field(default_factory=dict)
    rows: int = 0
