"""Events of A/B tests; the resource is the test."""

from dataclasses import dataclass, field

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class _TestEvent(AuditEvent, abstract=True):
    """What every event about an A/B test has in common."""

    resource_type = "ab_test"

    route: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class AbTestCreated(_TestEvent):
    """A test was described: its variants, its metrics, and how long it shall run."""

    name = "ab_test_created"
    action = "create"

    variants: dict[str, float] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    plan: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AbTestStarted(_TestEvent):
    """Requests are divided among the variants from here on."""

    name = "ab_test_started"
    action = "start"


@dataclass(frozen=True, kw_only=True)
class AbTestCompleted(_TestEvent):
    """The test ended as planned, with this result."""

    name = "ab_test_completed"
    action = "complete"

    winner: str = ""
    result: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AbTestPaused(_TestEvent):
    """A person stopped the test for a while."""

    name = "ab_test_paused"
    action = "pause"


@dataclass(frozen=True, kw_only=True)
class AbTestResumed(_TestEvent):
    """A paused test goes on."""

    name = "ab_test_resumed"
    action = "resume"


@dataclass(frozen=True, kw_only=True)
class AbTestCancelled(_TestEvent):
    """The test was ended before it had a result."""

    name = "ab_test_cancelled"
    severity = Severity.WARNING
    action = "cancel"
