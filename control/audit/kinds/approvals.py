"""Events of approvals; the resource is the request."""

from dataclasses import dataclass, field

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class _ApprovalEvent(AuditEvent, abstract=True):
    """What every event about an approval has in common; `subject` is what shall be allowed."""

    resource_type = "approval"

    subject: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ApprovalRequested(_ApprovalEvent):
    """Somebody asked for a permission, for exactly the thing with this digest."""

    name = "approval_requested"
    action = "request"

    digest: str = ""
    requested_by: str = ""
    reviewers: list[str] = field(default_factory=list)
    quorum: int = 1


@dataclass(frozen=True, kw_only=True)
class ApprovalGranted(_ApprovalEvent):
    """A reviewer agreed; `complete` once as many have as are needed."""

    name = "approval_granted"
    action = "grant"

    requested_by: str = ""
    approvals: int = 1
    quorum: int = 1
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class ApprovalRejected(_ApprovalEvent):
    """A reviewer refused, which closes the request."""

    name = "approval_rejected"
    severity = Severity.WARNING
    action = "reject"

    requested_by: str = ""


@dataclass(frozen=True, kw_only=True)
class ApprovalLapsed(_ApprovalEvent):
    """A permission no longer holds: it expired, or what it was given for has changed."""

    name = "approval_lapsed"
    severity = Severity.WARNING
    action = "lapse"

    state: str


@dataclass(frozen=True, kw_only=True)
class BreakGlassUsed(AuditEvent):
    """A person went past an approval in an emergency, and said why; somebody must look at it afterwards."""

    name = "break_glass_used"
    severity = Severity.CRITICAL
    resource_type = "approval"
    action = "break_glass"

    subject: str
    reason: str
    missing: list[str] = field(default_factory=list)
    review: str = ""
