"""The description of the API and the API have the same paths."""

import re
from pathlib import Path

from control.api import (
    audit_log,
    audit_report,
    deployments,
    experiments,
    feedback,
    history,
    link,
    metrics,
    rollouts,
    shadows,
    status,
)
from control.audit.events import AuditEvent
from control.audit.load import load_all
from control.dashboard import page
from control.rollout.machine import DecisionKind, State

DOCUMENT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_every_path_is_described() -> None:
    """Who calls it need not read the code."""
    described = set(re.findall(r"`(GET|PUT|POST) (/[^`?]*)", DOCUMENT))
    described = {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path in described}
    for module in (
        audit_log,
        audit_report,
        deployments,
        experiments,
        feedback,
        history,
        link,
        metrics,
        rollouts,
        shadows,
        status,
    ):
        for route in module.routes():
            path = re.sub(r"\{[^}]*\}", "{}", route.path)
            path = re.sub(
                r"/(promote|pause|resume|abort|rollback|restart|cancel|start|complete)$", "/{}", path
            )
            assert (route.method, path) in described, f"{route.method} {route.path}"
    assert ("GET", "/") in described
    assert page.routes()


def test_every_state_and_kind_of_decision_is_described() -> None:
    """A word in an answer can be looked up."""
    for name in [*State, *DecisionKind]:
        assert f"`{name.name.lower()}`" in DOCUMENT


def test_every_audit_event_is_described() -> None:
    """A reader of the log can look up what it means."""
    load_all()
    docs = Path(__file__).parents[3] / "docs"
    document = (docs / "control.md").read_text() + (docs / "audit.md").read_text()
    for name in AuditEvent.kinds:
        assert f"`{name}`" in document, name
