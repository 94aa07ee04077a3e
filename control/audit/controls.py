"""Which events are evidence for which control of which framework. Evidence: no claim that anything is met."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A requirement, in our words, and the types of events that an assessor would look at for it."""

    framework: str
    reference: str
    topic: str
    types: tuple[str, ...]
    integrity: bool = False
    """Whether the integrity of the log itself is part of the evidence."""


_RELEASES: Final = (
    *("model_registered", "model_promoted", "model_deployed", "model_rolled_back", "model_archived"),
    *("rollout_started", "rollout_promoted", "rollout_rolled_back", "configuration_changed"),
)
_APPROVALS: Final = ("approval_requested", "approval_granted", "approval_rejected", "break_glass_used")
_ACCESS: Final = ("access_granted", "access_revoked")
_INCIDENTS: Final = ("security_violation", "rollout_rolled_back", "traffic_diverted", "break_glass_used")
_READING: Final = ("data_access", "audit_exported")

CONTROLS: Final = (
    Control(
        framework="SOC 2", reference="CC6.1-CC6.3", topic="access is granted and taken away", types=_ACCESS
    ),
    Control(
        framework="SOC 2", reference="CC7.2-CC7.4", topic="anomalies are seen and answered", types=_INCIDENTS
    ),
    Control(
        framework="SOC 2",
        reference="CC8.1",
        topic="changes are authorised, tested and approved",
        types=(*_APPROVALS, *_RELEASES),
    ),
    Control(
        framework="GDPR",
        reference="Art. 5(2)",
        topic="what is done can be accounted for",
        types=_RELEASES,
        integrity=True,
    ),
    Control(
        framework="GDPR",
        reference="Art. 17",
        topic="personal data is erased on request",
        types=("personal_data_erased",),
    ),
    Control(framework="GDPR", reference="Art. 30", topic="access to data is on record", types=_READING),
    Control(
        framework="GDPR",
        reference="Art. 32-33",
        topic="security of processing, and breaches",
        types=_INCIDENTS,
    ),
    Control(
        framework="HIPAA",
        reference="164.312(b)",
        topic="activity is recorded and can be examined",
        types=(*_RELEASES, *_READING),
        integrity=True,
    ),
    Control(
        framework="HIPAA",
        reference="164.312(c)(1)",
        topic="records are not altered unnoticed",
        types=("checkpoint_signed",),
        integrity=True,
    ),
    Control(framework="HIPAA", reference="164.308(a)(4)", topic="access is authorised", types=_ACCESS),
    Control(
        framework="PCI DSS",
        reference="6.5.1",
        topic="changes follow a procedure",
        types=(*_APPROVALS, *_RELEASES),
    ),
    Control(framework="PCI DSS", reference="7.2", topic="access is assigned by role", types=_ACCESS),
    Control(
        framework="PCI DSS",
        reference="10.2",
        topic="who did what, when, from where",
        types=(*_RELEASES, *_ACCESS, *_READING, *_INCIDENTS),
    ),
    Control(
        framework="PCI DSS",
        reference="10.3",
        topic="the log is protected from change",
        types=("checkpoint_signed", "audit_trimmed", "signing_key_changed"),
        integrity=True,
    ),
)
