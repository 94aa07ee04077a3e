"""The report counts everything, names the exceptions and claims nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from control.audit.controls import CONTROLS
from control.audit.events import AuditEvent, Origin
from control.audit.kinds.access import AccessGranted, SecurityViolation
from control.audit.kinds.approvals import ApprovalGranted, ApprovalRequested, BreakGlassUsed
from control.audit.kinds.models import ModelDeployed, ModelPromoted
from control.audit.load import load_all
from control.audit.render import render
from control.audit.report import Period, report
from tests.helpers.audit import ALICE, BOB, START, draft, log_in, write

load_all()
DAY = Period(since=START, until=START + 86_400)
CAROL = Origin(actor="carol")


def promoted(version: str, **more: object) -> ModelPromoted:
    return ModelPromoted(
        resource_id=f"fraud:{version}",
        model="fraud",
        version=version,
        from_stage="staging",
        to_stage="production",
        **more,  # type: ignore[arg-type]
    )


async def made(directory: Path) -> dict[str, object]:
    """The report of a day with everything in it."""
    async with log_in(directory) as (store, witness):
        await write(store, *(draft(number) for number in range(10)), origin=BOB)
        await write(store, draft(99), at=START - 1)
        await write(store, draft(99), at=START + 86_400)
        await write(
            store,
            ApprovalRequested(resource_id="a-1", subject="fraud:v2", requested_by="alice"),
            promoted("v2", approval="a-1", approved_by=["bob"], requested_by="alice"),
            AccessGranted(resource_id="dave", role="operator"),
        )
        await write(
            store, ApprovalGranted(resource_id="a-2", subject="fraud:v3", requested_by="carol"), origin=CAROL
        )
        await write(
            store, promoted("v3", approval="a-2", approved_by=["carol"], requested_by="carol"), origin=CAROL
        )
        await write(store, ModelDeployed(resource_id="fraud:v4", model="fraud", version="v4"), origin=ALICE)
        await write(
            store,
            BreakGlassUsed(resource_id="a-3", subject="fraud:v5", reason="<b>outage</b>"),
            SecurityViolation(resource_id="audit_log", reason="an older copy was put back"),
        )
        await witness.sign(START)
        return await report(store, DAY)


async def test_the_report_has_totals_and_exceptions(tmp_path: Path) -> None:
    """By type, severity and user; violations, critical events, who approved for themselves."""
    found = json.loads(json.dumps(await made(tmp_path)))

    assert found["period"] == {"from": "2023-11-14T22:13:20.000000Z", "until": "2023-11-15T22:13:20.000000Z"}
    assert found["events_by_type"]["data_access"] == 10
    assert found["events_by_severity"]["critical"] == 2
    assert (
        found["total_events"]
        == sum(found["events_by_type"].values())
        == sum(found["events_by_severity"].values())
    )
    assert found["most_active_user"] == "bob"
    assert found["most_common_type"] == "data_access"
    assert [row["type"] for row in found["violations"]] == ["break_glass_used", "security_violation"]
    assert len(found["critical_events"]) == 2
    assert [(row["resource"], row["exception"]) for row in found["separation_of_duties"]] == [
        ("approval:a-2", "carol approved what carol had asked for"),
        ("model:fraud:v3", "carol asked and approved"),
        ("model:fraud:v3", "carol alone approved and carried out"),
    ]
    assert [(row["resource"], row["exception"]) for row in found["unapproved_changes"]] == [
        ("model:fraud:v4", "no approval is named"),
        ("approval:a-3", "an approval was passed over in an emergency"),
    ]
    assert found["integrity"]["verdict"] == "whole"
    by_reference = {row["reference"]: row for row in found["controls"]}
    assert by_reference["7.2"]["events"] == {"access_granted": 1}
    assert by_reference["10.3"]["integrity"] == "whole"
    assert "does not state that any requirement is met" in found["note"]


async def test_the_page_needs_nothing_and_runs_nothing(tmp_path: Path) -> None:
    """No script, no other file; what people wrote is text."""
    page = render(await made(tmp_path))

    assert "<script" not in page
    assert "http" not in page
    assert "&lt;b&gt;outage&lt;/b&gt;" in page
    assert "carol approved what carol had asked for" in page
    assert page.count("<h2>") == 7


async def test_an_empty_period_is_an_empty_report(tmp_path: Path) -> None:
    """Nothing is made up."""
    async with log_in(tmp_path) as (store, _):
        found = await report(store, Period(since=0, until=1))

    assert found["total_events"] == 0
    assert found["most_active_user"] is None
    assert found["most_common_type"] is None
    assert found["integrity"]["verdict"] == "not signed yet"
    assert "None on record." in render(found)


@pytest.mark.parametrize("framework", ["SOC 2", "GDPR", "HIPAA", "PCI DSS"])
def test_every_framework_has_evidence_of_events_that_exist(framework: str) -> None:
    """A misspelt type would never count anything."""
    mine = [control for control in CONTROLS if control.framework == framework]

    assert len(mine) >= 3
    for control in mine:
        assert set(control.types) <= AuditEvent.kinds.keys()
