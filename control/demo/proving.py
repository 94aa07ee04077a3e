"""The last act: a compliance report, the audit log verified, and a copy of it that somebody has edited."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from control.cli.output import Grid
from control.demo.processes import output_of
from control.demo.server import MODEL
from control.demo.stage import Stage, StoryError

_EXPECTED: Final = (
    "model_registered",
    "approval_granted",
    "model_promoted",
    "ab_test_completed",
    "rollout_promoted",
    "rollout_rolled_back",
)


async def report(stage: Stage) -> None:
    """What an assessor gets, in figures.

    Raises:
        StoryError: it tells of changes without approval, or of one person on both sides.
    """
    path = stage.folder / "compliance.html"
    await _headgate(stage, "audit", "report", "--format", "html", "--to", str(path))
    code, text = await _headgate(stage, "audit", "report", "--format", "json")
    if code:
        raise StoryError(f"headgate audit report ended with {code}: {text}")
    made: dict[str, Any] = json.loads(text)
    stage.narrator.block(
        [
            Grid(
                headings=["on record", "events"],
                rows=[
                    *([name, str(made["events_by_type"].get(name, 0))] for name in _EXPECTED),
                    ["all", str(made["total_events"])],
                    ["asked and approved by one person", str(len(made["separation_of_duties"]))],
                    ["begun without approval: v2 among staff", str(len(made["unapproved_changes"]))],
                ],
                right=frozenset({1}),
            )
        ]
    )
    stage.narrator.say(f"and the evidence for {len(made['controls'])} controls; as a page in {path.name}")
    # Staff tried v2 before anybody had agreed to it, and the report says so; nothing else may stand there.
    trial = ("model_deployed", f"model:{MODEL}:v2")
    unasked = [each for each in made["unapproved_changes"] if (each["type"], each["resource"]) != trial]
    exceptions = [*made["separation_of_duties"], *unasked]
    if exceptions:
        raise StoryError(f"the report has exceptions: {exceptions}")
    missing = [name for name in _EXPECTED if not made["events_by_type"].get(name)]
    if missing:
        raise StoryError(f"the log knows nothing of {', '.join(missing)}")


async def verify(stage: Stage) -> None:
    """The log is whole, and a copy in which one event was edited is not.

    Raises:
        StoryError: verifying says otherwise.
    """
    state = stage.folder / ".headgate"
    note = stage.folder / "kept-elsewhere.note"
    await _headgate(stage, "audit", "checkpoint", "--sign", "--save", str(note))
    code, text = await _headgate(stage, "audit", "verify", "--state", str(state), "--checkpoint", str(note))
    stage.narrator.say(f"it ends with {code} and says:")
    stage.narrator.block([text.strip()])
    if code:
        raise StoryError(f"headgate audit verify ended with {code}")
    copy = stage.folder / "copy"
    sequence = await asyncio.to_thread(_edited_copy, state, copy)
    code, text = await _headgate(stage, "audit", "verify", "--state", str(copy), "--checkpoint", str(note))
    stage.narrator.say(f"of a copy in which event {sequence} was edited it says, and ends with {code}:")
    stage.narrator.block([text.strip()])
    if code != 1 or f"{sequence}" not in text:
        raise StoryError(f"event {sequence} of a copy was edited, and headgate audit verify did not say so")


def _edited_copy(state: Path, copy: Path) -> int:
    """A rollback becomes a promotion, as whoever owns the file could do it; returns the event's number."""
    copy.mkdir()
    (copy / "audit.pub").write_bytes((state / "audit.pub").read_bytes())
    with (
        closing(sqlite3.connect(state / "headgate.db")) as source,
        closing(sqlite3.connect(copy / "headgate.db")) as target,
        target,
    ):
        source.backup(target)
        for (name,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            target.execute(f"DROP TRIGGER {name}")
        found = target.execute(
            "SELECT sequence, body FROM audit_events WHERE type = 'rollout_rolled_back' ORDER BY sequence"
        ).fetchone()
        body = bytes(found[1]).replace(b"rollout_rolled_back", b"rollout_promoted")
        target.execute("UPDATE audit_events SET body = ? WHERE sequence = ?", (body, found[0]))
    return int(found[0])


async def _headgate(stage: Stage, *arguments: str) -> tuple[int, str]:
    """Run a command as somebody in another terminal would; exit code, and what it said."""
    return await output_of("control.cli", *arguments, environ={"HEADGATE_ADMIN": stage.gate.admin})
