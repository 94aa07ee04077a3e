"""Events describe themselves and know every decision."""

import pytest

from control.audit.canonical import canonical, digest, leaf_hash
from control.audit.events import DECIDED, AuditEvent, RevisionSkipped, Severity
from control.audit.load import load_all
from control.rollout.machine import DecisionKind

load_all()

REQUIRED = [
    "model_registered",
    "model_promoted",
    "model_deployed",
    "model_rolled_back",
    "model_archived",
    "approval_requested",
    "approval_granted",
    "approval_rejected",
    "ab_test_created",
    "ab_test_started",
    "ab_test_completed",
    "shadow_deployment_created",
    "access_granted",
    "access_revoked",
    "configuration_changed",
    "security_violation",
    "data_access",
]
OURS = [
    "rollout_advanced",
    "traffic_diverted",
    "rollout_paused",
    "ab_test_cancelled",
    "shadow_deployment_stopped",
    "break_glass_used",
    "freeze_began",
    "checkpoint_signed",
    "audit_exported",
]


def test_every_kind_of_event_that_auditors_ask_for_exists() -> None:
    """The seventeen of a model's life, and those of a router that decides by itself."""
    assert len(REQUIRED) == 17
    assert not {*REQUIRED, *OURS} - AuditEvent.kinds.keys()


def test_an_event_describes_itself_as_a_draft() -> None:
    """What is appended has type, severity, resource and tags from the class, details from its fields."""
    draft = RevisionSkipped(resource_id="table", known=1, seen=2, revision=3, tags=["restore"]).draft()

    assert (draft.type, draft.severity, draft.action) == ("revision_skipped", "warning", "skip")
    assert draft.details == {"known": 1, "seen": 2, "revision": 3}
    assert draft.tags == ("restore",)
    assert draft.source == "system"


def test_every_kind_of_decision_has_its_event() -> None:
    """Nothing is decided that the log cannot say."""
    assert {kind.name.lower() for kind in DecisionKind} == DECIDED.keys()


@pytest.mark.parametrize("kind", AuditEvent.kinds.values(), ids=lambda kind: kind.name)
def test_every_event_is_documented_and_complete(kind: type[AuditEvent]) -> None:
    """Its docstring says what it means; name, resource and action are set."""
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")
    assert kind.name.islower()
    assert kind.resource_type
    assert kind.action
    assert isinstance(kind.severity, Severity)


def test_a_name_names_one_event() -> None:
    """Two classes under one name would make a log that cannot be read."""
    with pytest.raises(TypeError, match="registered twice"):

        class Again(AuditEvent):
            """The same name once more."""

            name = "revision_skipped"
            resource_type = "table"
            action = "skip"

    assert AuditEvent.kinds["revision_skipped"] is RevisionSkipped


def test_details_are_everything_but_the_resource() -> None:
    """The resource has a column of its own."""
    event = RevisionSkipped(resource_id="table", known=1, seen=5, revision=6)

    assert event.details() == {"known": 1, "seen": 5, "revision": 6}


def test_one_value_has_one_form() -> None:
    """Order of insertion leaves no trace in a digest."""
    assert canonical({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"é"],"b":1}'.encode()
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


def test_the_leaf_hash_is_that_of_rfc_9162() -> None:
    """The empty leaf of the RFC's own test vectors."""
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
