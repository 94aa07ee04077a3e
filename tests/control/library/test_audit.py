"""Scripts use the same log as the control process, without one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from control.audit.exported import verify_export
from control.audit.keys import read_public
from control.audit.note import parse
from control.errors import HeadgateError, InvalidError, NotFoundError
from control.library.audit import AuditLog
from tests.helpers.audit import log_in


async def test_events_are_written_found_proven_and_exported(tmp_path: Path) -> None:
    """Also inside a running event loop, as in a notebook, while the control process has the log open."""
    now = datetime.now(UTC)
    async with log_in(tmp_path) as (_, witness):
        with AuditLog(tmp_path, actor="nightly") as log:
            event = log.record(
                "access_granted",
                "carol",
                details={"role": "operator"},
                tags=["team:fraud"],
                severity="critical",
                personal={"mail": "carol@example.test"},
            )
            assert log.proof(event["id"]) is None
            await witness.sign(now.timestamp())
            proof = log.proof(event["id"])
            assert proof is not None
            assert parse(proof["checkpoint"]).checkpoint.size == proof["size"] == 2
            assert log.get(event["id"]) == event
            for missing in (log.get, log.proof):
                with pytest.raises(NotFoundError, match="there is no event 'e-none'"):
                    missing("e-none")
            with pytest.raises(InvalidError, match="form: 'xml' is none; use one of"):
                log.export(tmp_path / "x.xml", form="xml")
            assert [one["id"] for one in log.events(actor="nightly", since=now)] == [event["id"]]
            assert list(log.events(until=now - timedelta(days=1), type="access_granted")) == []
            assert [one["id"] for one in log.events(tags=["team:fraud"], newest_first=True)] == [event["id"]]
            count = log.export(tmp_path / "x.jsonl")
            made = log.report(now - timedelta(hours=1), now + timedelta(hours=1))
            verdict = log.verify()

    assert (event["actor"], event["source"], event["severity"]) == ("nightly", "library", "critical")
    assert count == 3
    assert verify_export(tmp_path / "x.jsonl", read_public(tmp_path / "audit.pub"), []).whole
    assert made["most_active_user"] == "nightly"
    assert verdict.whole, verdict.findings
    # The key, the event, the checkpoint, the export and the report.
    assert verdict.size == 5


def test_what_only_headgate_knows_only_headgate_writes(tmp_path: Path) -> None:
    """A script cannot claim a rollback; a place without a database is an error of one kind."""
    with AuditLog(tmp_path) as log:
        with pytest.raises(InvalidError, match="by Headgate alone"):
            log.record("rollout_rolled_back", "r-1")
        assert list(log.events()) == []
    with pytest.raises(HeadgateError) as refused:
        AuditLog(tmp_path / "missing")
    assert (refused.value.code, refused.value.status) == ("store", 503)
    assert not (tmp_path / "missing").exists()
