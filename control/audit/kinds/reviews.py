"""What is said about approvals, what was found after one was gone past, and what a route did not take."""

from dataclasses import dataclass

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class ApprovalCommented(AuditEvent):
    """Somebody said something about a request; the text is kept with it."""

    name = "approval_commented"
    resource_type = "approval"
    action = "comment"

    comment: str
    reply_to: str = ""


@dataclass(frozen=True, kw_only=True)
class BreakGlassReviewed(AuditEvent):
    """Somebody looked at what went past an approval, and accepted or objected; the resource is the task."""

    name = "break_glass_reviewed"
    severity = Severity.WARNING
    resource_type = "approval"
    action = "review_break_glass"

    subject: str
    accepted: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReleaseRefused(AuditEvent):
    """A protected route did not take a version that is not approved, and serves on what it served."""

    name = "release_refused"
    severity = Severity.WARNING
    resource_type = "model"
    action = "refuse"

    route: str
    stage: str
    reason: str
