"""Proofs, checkpoints, exports and reported events over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from control.api.server import build_application
from control.audit.exported import verify_export
from control.audit.merkle import is_consistent, root_by_inclusion
from control.audit.note import parse
from control.audit.offline import verify_database
from control.audit.witness import Witness
from control.plane import Plane
from control.store.engine import sqlite_url
from control.store.offline import open_offline
from tests.helpers.audit import START, draft, write
from tests.helpers.control import FakeClock, plane_on
from tests.helpers.control_server import FORWARDED, Client, client_of


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[Plane, Client]]:
    """A plane with a key behind a socket."""
    async with plane_on(directory / "headgate.db", FakeClock()) as bare:
        witness = Witness(bare.ledger.store, directory)
        await witness.start()
        plane = replace(bare, witness=witness)
        runner = web.AppRunner(build_application(plane), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.UnixSite(runner, directory / "s").start()
        try:
            async with client_of(directory / "s") as client:
                yield plane, client
        finally:
            await runner.cleanup()


async def test_a_proof_leads_from_an_event_to_the_signed_root(tmp_path: Path) -> None:
    """With nothing but the answer and the public key."""
    async with served(tmp_path) as (plane, client):
        await write(plane.ledger.store, *(draft(number) for number in range(300)))
        signed = await client.json("POST", "/v1/audit/checkpoint")
        events = (await client.json("GET", "/v1/audit?type=data_access&limit=3"))["events"]
        proof = await client.json("GET", f"/v1/audit/{events[2]['id']}/proof")
        small = await client.json("GET", f"/v1/audit/{events[2]['id']}/proof?size=10")
        await client.json("GET", f"/v1/audit/{events[2]['id']}/proof?size=3", status=400)
        await client.json("GET", "/v1/audit/e-none/proof", status=404)
        witness = plane.witness

    assert witness is not None
    note = parse(proof["checkpoint"])
    assert note.signed_by([witness.key]) == witness.key
    assert note.checkpoint.root.hex() == proof["root"] == signed["root"]
    for one in (proof, small):
        path = [bytes.fromhex(step) for step in one["path"]]
        found = root_by_inclusion(bytes.fromhex(one["leaf_hash"]), one["leaf_index"], one["size"], path)
        assert found is not None
        assert found.hex() == one["root"]
    assert small["checkpoint"] is None


async def test_a_consistency_proof_ties_two_sizes(tmp_path: Path) -> None:
    """And a size that is not there is refused."""
    async with served(tmp_path) as (plane, client):
        await write(plane.ledger.store, *(draft(number) for number in range(30)))
        proof = await client.json("GET", "/v1/audit/consistency?first=7&second=29")
        for query in ("", "?first=0", "?first=40", "?first=9&second=8", "?third=1"):
            await client.json("GET", f"/v1/audit/consistency{query}", status=400)

    first, second = proof["first"], proof["second"]
    assert is_consistent(
        7,
        29,
        bytes.fromhex(first["root"]),
        bytes.fromhex(second["root"]),
        [bytes.fromhex(step) for step in proof["path"]],
    )


async def test_checkpoints_are_listed_and_given_as_text(tmp_path: Path) -> None:
    """For a program as JSON, for a file as the note itself."""
    async with served(tmp_path) as (plane, client):
        await client.json("GET", "/v1/audit/checkpoint", status=404)
        for _ in range(3):
            await write(plane.ledger.store, draft(1))
            await client.json("POST", "/v1/audit/checkpoint")
        page = await client.json("GET", "/v1/audit/checkpoints?limit=2")
        rest = await client.json("GET", f"/v1/audit/checkpoints?limit=2&before={page['next']}")
        text, _ = await client.text("/v1/audit/checkpoint", headers={"Accept": "text/plain"})
        again = await client.json("POST", "/v1/audit/checkpoint")

    assert [one["size"] for one in page["checkpoints"] + rest["checkpoints"]] == [6, 4, 2]
    assert rest["next"] is None
    assert parse(text).checkpoint.size == again["size"] == 6


async def test_an_event_from_elsewhere_is_logged_under_its_reporter(tmp_path: Path) -> None:
    """With its source; nobody writes in Headgate's own name, and every mistake is named."""
    body = {
        "type": "access_granted",
        "resource_id": "carol",
        "details": {"role": "operator"},
        "tags": ["team:fraud"],
        "personal": {"mail": "carol@example.test"},
    }
    async with served(tmp_path) as (_, client):
        event = await client.json("POST", "/v1/audit", body, status=201, headers=FORWARDED)
        found = await client.json("GET", "/v1/audit?tag=team:fraud&actor=alice")
        for wrong, problem in [
            ({"type": "rollout_promoted", "resource_id": "x"}, "by Headgate alone"),
            ({"type": "Bad Name", "resource_id": "x"}, "is not a name"),
            ({"type": "x"}, "resource_id"),
            ({"type": "x", "resource_id": "x", "colour": 1}, "colour"),
            ({"type": "x", "resource_id": "x", "severity": "loud"}, "severity"),
            ({"type": "x", "resource_id": "x", "tags": ["a b"]}, "tags"),
            ({"type": "x", "resource_id": "x", "details": {"a": "b" * 70_000}}, "details"),
        ]:
            answer = await client.json("POST", "/v1/audit", wrong, status=400)
            assert problem in answer["error"]["message"]

    assert found["events"] == [event]
    assert (event["actor"], event["source"], event["severity"]) == ("alice", "api", "warning")
    assert event["personal"] == {"mail": "carol@example.test"}
    assert b"carol@example.test" not in json.dumps(event["commitments"]).encode()


@pytest.mark.parametrize("kind", ["jsonl", "json", "yaml", "csv"])
async def test_an_export_is_told_in_the_log(tmp_path: Path, kind: str) -> None:
    """Who, in which form, how many; a file of JSON lines can be verified."""
    async with served(tmp_path) as (plane, client):
        await write(plane.ledger.store, *(draft(number) for number in range(30)))
        text, response = await client.text(f"/v1/audit/export?format={kind}", headers=FORWARDED)
        (event,) = (await client.json("GET", "/v1/audit?type=audit_exported"))["events"]
        await client.json("GET", "/v1/audit/export?format=xml", status=400)
        witness = plane.witness

    assert "attachment" in response.headers["Content-Disposition"]
    assert event["actor"] == "alice"
    assert event["details"]["events"] == 32
    if kind == "jsonl":
        assert witness is not None
        (tmp_path / "x.jsonl").write_text(text)
        assert verify_export(tmp_path / "x.jsonl", witness.key, []).whole


async def test_erasing_and_trimming_leave_every_proof_valid(tmp_path: Path) -> None:
    """Only an administrator may; the log tells of both, and is whole afterwards."""
    async with served(tmp_path) as (plane, client):
        store = plane.ledger.store
        await write(store, *(draft(number) for number in range(300)), at=START)
        before = await client.json("POST", "/v1/audit/checkpoint")
        await write(store, *(draft(number) for number in range(300)), at=time.time() + 3 * 86_400)
        await client.json("POST", "/v1/audit/erase", {"actor": "alice"}, status=400)
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 2 * 86_400))
        order = {"actor": "alice", "reason": "left", "names": True}
        await client.json("POST", "/v1/audit/erase", order, status=403, headers=FORWARDED)
        erased = await client.json("POST", "/v1/audit/erase", order)
        trimmed = await client.json(
            "POST", "/v1/audit/trim", {"before": day, "archive": "s3://a", "reason": "policy"}
        )
        again = await client.json("POST", "/v1/audit/trim", {"before": day, "archive": "s3://a"})
        await client.json("POST", "/v1/audit/trim", {"before": "x", "archive": "s3://a"}, status=400)
        await client.json("POST", "/v1/audit/checkpoint")
        events = (await client.json("GET", "/v1/audit?limit=5"))["events"]
        consistency = await client.json("GET", f"/v1/audit/consistency?first={before['size']}")
        proof = await client.json("GET", f"/v1/audit/{events[0]['id']}/proof")
        witness = plane.witness
    assert witness is not None
    with open_offline(sqlite_url(tmp_path / "headgate.db")) as stored:
        verdict = verify_database(stored, witness.key, [])

    assert erased == {"events": 600}
    assert trimmed == {"events": 256, "first": 257}
    assert again == {"events": 0, "first": 257}
    assert events[0]["sequence"] == 257
    assert (events[0]["actor"], events[0]["address"], events[0]["salts"]["actor"]) == (None, None, None)
    assert consistency["first"]["root"] == before["root"]
    path = [bytes.fromhex(step) for step in proof["path"]]
    found = root_by_inclusion(bytes.fromhex(proof["leaf_hash"]), 256, proof["size"], path)
    assert found is not None
    assert found.hex() == proof["root"]
    assert verdict.whole, verdict.findings
    assert (verdict.trimmed, verdict.erased) == (256, 345)


async def test_the_key_can_be_changed(tmp_path: Path) -> None:
    """Whoever has the old public key still verifies everything."""
    async with served(tmp_path) as (plane, client):
        assert plane.witness is not None
        old = plane.witness.key
        await write(plane.ledger.store, draft(1))
        await client.json("POST", "/v1/audit/checkpoint")
        await client.json("POST", "/v1/audit/key", {"reason": "yearly"}, status=403, headers=FORWARDED)
        answer = await client.json("POST", "/v1/audit/key", {"reason": "yearly"})
        await client.json("POST", "/v1/audit/checkpoint")
    with open_offline(sqlite_url(tmp_path / "headgate.db")) as stored:
        verdict = verify_database(stored, old, [])

    assert verdict.whole, verdict.findings
    assert verdict.keys == [old.id, answer["id"]]


async def test_metrics_show_the_root_in_one_series(tmp_path: Path) -> None:
    """Whoever keeps them is a witness."""
    async with served(tmp_path) as (plane, client):
        await write(plane.ledger.store, draft(1))
        note = await client.json("POST", "/v1/audit/checkpoint")
        first, _ = await client.text("/metrics")
        await write(plane.ledger.store, draft(2))
        second, _ = await client.text("/metrics")

    for text in (first, second):
        assert text.count("\nheadgate_audit_root_info{") == 1
    assert f"headgate_audit_checkpoint_events {float(note['size'])}" in second
    assert 'size="3"' in first
    assert 'size="4"' in second
