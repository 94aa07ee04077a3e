"""Events of the audit log about itself."""

from dataclasses import dataclass, field

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class CheckpointSigned(AuditEvent):
    """The log's size and root were signed; the resource is the size."""

    name = "checkpoint_signed"
    resource_type = "audit_log"
    action = "sign"

    size: int
    root: str
    key: str


@dataclass(frozen=True, kw_only=True)
class SigningKeyChanged(AuditEvent):
    """Checkpoints are signed with another key from here on; both keys sign that they belong together.

    The resource is the new key's id. `previous` is empty for the first key of a log.
    """

    name = "signing_key_changed"
    severity = Severity.WARNING
    resource_type = "audit_log"
    action = "change_key"

    key: str
    previous: str = ""
    signature_by_previous: str = ""
    signature_by_key: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditExported(AuditEvent):
    """Events were written to a file or sent to somebody; the resource is the form."""

    name = "audit_exported"
    severity = Severity.WARNING
    resource_type = "audit_log"
    action = "export"

    events: int
    first: int = 0
    last: int = 0
    filters: dict[str, object] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditTrimmed(AuditEvent):
    """Old events were removed after an export; their leaf hashes stay. The resource is the last one."""

    name = "audit_trimmed"
    severity = Severity.WARNING
    resource_type = "audit_log"
    action = "trim"

    events: int
    root: str
    archive: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PersonalDataErased(AuditEvent):
    """Personal fields of events were erased; what the log commits to stays. The resource is the request."""

    name = "personal_data_erased"
    severity = Severity.WARNING
    resource_type = "audit_log"
    action = "erase"

    events: int
    fields: list[str] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    reason: str = ""
