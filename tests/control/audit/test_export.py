"""What leaves the log can be verified by its reader, opened in a spreadsheet, and cut by day."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from control.audit.export import Exported, export
from control.audit.exported import ExportError, verify_export
from control.audit.forms import Form
from control.audit.keys import open_key, read_public
from control.audit.note import parse
from control.audit.verify import StoredNote, Verdict
from control.cli.commands.audit_export import Days
from control.store.audit_search import AuditFilter
from control.store.engine import Store
from tests.helpers.audit import BOB, START, draft, log_in, write

DAY = 86_400


async def text_of(store: Store, kind: str, wanted: AuditFilter | None = None, page: int = 7) -> bytes:
    form, sent = Form.kinds[kind](), Exported()
    pieces = [piece async for piece in export(store, wanted or AuditFilter(), form, sent, page=page)]
    return b"".join(pieces)


async def prepare(directory: Path) -> bytes:
    """An export of 40 signed events over four days, and two that came later."""
    async with log_in(directory) as (store, witness):
        for number in range(38):
            tags = ("odd",) if number % 2 else ()
            await write(store, draft(number, tags=tags), at=START + number / 10 * DAY)
        await write(store, draft(38), origin=BOB, at=START + 4 * DAY)
        await witness.sign(START)
        await write(store, draft(39), at=START + 4 * DAY)
        return await text_of(store, "jsonl")


def save(tmp_path: Path, lines: list[bytes], name: str = "audit.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join(lines))
    return path


def check(directory: Path, path: Path, *older: StoredNote) -> Verdict:
    return verify_export(path, read_public(directory / "audit.pub"), older)


async def test_an_export_is_verified_without_the_database(tmp_path: Path) -> None:
    """Every event leads to the signed root; two at the end are not signed yet."""
    lines = (await prepare(tmp_path)).splitlines(keepends=True)

    verdict = check(tmp_path, save(tmp_path, lines))

    assert verdict.whole, verdict.findings
    assert (verdict.size, verdict.signed, verdict.complete) == (42, 40, True)
    assert json.loads(lines[-1])["end"] == {"first": 1, "last": 42, "count": 42}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("edit", "changed"),
        ("edit and hash", "proof"),
        ("delete", "missing"),
        ("swap", "order"),
        ("insert", "order"),
        ("cut", "cut"),
        ("key", "forged"),
        ("actor", "changed"),
        ("proof", "proof"),
    ],
)
async def test_what_was_done_to_an_export_is_found(tmp_path: Path, change: str, kind: str) -> None:
    """A field, a line, the order, the end, the signature, who did it."""
    from control.audit.canonical import leaf_hash
    from control.audit.note import sign

    lines = (await prepare(tmp_path)).splitlines(keepends=True)
    event = json.loads(lines[10])
    if change.startswith("edit"):
        event["body"] = event["body"].replace('"number":', '"number":1')
        if change.endswith("hash"):
            event["leaf_hash"] = leaf_hash(event["body"].encode()).hex()
    elif change == "delete":
        del lines[20]
    elif change == "swap":
        lines[20], lines[21] = lines[21], lines[20]
    elif change == "insert":
        lines.insert(20, lines[15])
    elif change == "cut":
        del lines[30:]
    elif change == "key":
        (tmp_path / "other").mkdir()
        about = json.loads(lines[0])
        about["checkpoint"] = sign(
            parse(about["checkpoint"]).checkpoint, open_key(tmp_path / "other").signer
        ).text
        lines[0] = json.dumps(about).encode() + b"\n"
    elif change == "actor":
        event["actor"] = "mallory"
    elif change == "proof":
        event["proof"] = event["proof"][1:]
    if lines[10:11] and change in ("edit", "edit and hash", "actor", "proof"):
        lines[10] = json.dumps(event).encode() + b"\n"

    verdict = check(tmp_path, save(tmp_path, lines))

    assert kind in {finding.kind for finding in verdict.findings}
    if kind in ("changed", "proof"):
        assert verdict.findings[0].sequence == 10


async def test_a_filtered_export_proves_each_event_but_not_that_it_is_complete(tmp_path: Path) -> None:
    """The reader is told so."""
    async with log_in(tmp_path) as (store, witness):
        await write(store, *(draft(number, tags=("x",) if number % 3 else ()) for number in range(30)))
        await witness.sign(START)
        text = await text_of(store, "jsonl", AuditFilter(tags=("x",)))

    verdict = check(tmp_path, save(tmp_path, text.splitlines(keepends=True)))

    assert verdict.whole, verdict.findings
    assert not verdict.complete
    assert verdict.size == 20


async def test_an_older_export_is_compared_with_a_newer_checkpoint(tmp_path: Path) -> None:
    """It does not reach it; one of now does."""
    old = save(tmp_path, (await prepare(tmp_path)).splitlines(keepends=True))
    async with log_in(tmp_path) as (store, witness):
        await write(store, *(draft(number) for number in range(5)))
        text = (await witness.sign(START)).text
        new = save(tmp_path, [await text_of(store, "jsonl")], "new.jsonl")
    kept = StoredNote(size=parse(text).checkpoint.size, text=text, place="kept")

    assert {finding.kind for finding in check(tmp_path, old, kept).findings} == {"cut"}
    assert check(tmp_path, new, kept).whole


async def test_an_export_by_day_is_verified_together(tmp_path: Path) -> None:
    """events/YYYY/MM/DD.jsonl; a missing day is found."""
    lines = (await prepare(tmp_path)).splitlines(keepends=True)
    days = Days(tmp_path / "events")
    days.write(iter(lines))

    files = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "events").rglob("*"))
    assert "events/2023/11/14.jsonl" in files
    assert days.events == 42
    verdict = check(tmp_path, tmp_path / "events")
    assert verdict.whole, verdict.findings
    assert verdict.complete
    one = check(tmp_path, tmp_path / "events/2023/11/16.jsonl")
    assert one.whole, one.findings
    assert not one.complete
    (tmp_path / "events/2023/11/16.jsonl").unlink()
    assert "missing" in {finding.kind for finding in check(tmp_path, tmp_path / "events").findings}


async def test_csv_holds_nothing_that_a_spreadsheet_would_run(tmp_path: Path) -> None:
    """A cell that would be a formula begins with an apostrophe."""
    evil = '=HYPERLINK("http://example.test","click")'
    async with log_in(tmp_path) as (store, _):
        event = draft(1)
        event = type(event)(
            type=event.type,
            severity="info",
            resource_type="data",
            resource_id=evil,
            action="+1",
            details={"a": "=1"},
        )
        await write(store, event)
        rows = list(csv.reader(io.StringIO((await text_of(store, "csv")).decode())))

    assert rows[0][0] == "sequence"
    assert "'" + evil in rows[2]
    assert "'+1" in rows[2]
    assert all(not cell.startswith(("=", "+", "@", "-")) for row in rows for cell in row)


async def test_json_and_yaml_hold_the_same_events(tmp_path: Path) -> None:
    """As one document each."""
    async with log_in(tmp_path) as (store, _):
        await write(store, draft(1, tags=("a",)), draft(2))
        as_json = json.loads(await text_of(store, "json", page=1))
        as_yaml = yaml.safe_load(await text_of(store, "yaml"))

    assert as_json["events"] == as_yaml["events"]
    assert [event["details"].get("number") for event in as_json["events"]] == [None, 1, 2]
    assert as_json["end"] == as_yaml["end"] == {"first": 1, "last": 3, "count": 3}


def bad_files() -> Iterator[tuple[bytes, str]]:
    yield b"", "no export"
    yield b'{"headgate_audit_export": 2}\n', "newer version"
    yield b'{"headgate_audit_export": 1, "checkpoint": null, "filters": {}}\n{"x"\n', "line 2"


@pytest.mark.parametrize(("content", "problem"), list(bad_files()))
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    """With the line at which it stops to be one."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)

    with pytest.raises(ExportError, match=problem):
        verify_export(path, open_key(tmp_path).signer.key, [])
