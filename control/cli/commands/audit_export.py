"""`headgate audit export`: events in a file, or in a file for each day, ready to be verified elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from config.counted import counted
from control.cli.client import AdminClient, admin_options
from control.cli.failure import CommandError
from control.cli.output import Format, emit, format_option

_OPEN_MAX = 32


@click.command("export")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "json", "yaml", "csv"]),
    default="jsonl",
    show_default=True,
    help="JSON lines carry proofs and can be verified.",
)
@click.option("--to", type=click.Path(path_type=Path), help="File; default: standard output.")
@click.option("--by-date", type=click.Path(path_type=Path), help="Directory for events/YYYY/MM/DD.jsonl.")
@click.option("--type", "event_type", help="Only this type.")
@click.option("--actor", help="Only what this person or process did.")
@click.option("--severity", type=click.Choice(["info", "warning", "error", "critical"]))
@click.option("--resource", metavar="TYPE:ID")
@click.option("--tag")
@click.option("--since", metavar="DATE", help="From this time on: 2026-01-31 or 2026-01-31T12:00, UTC.")
@click.option("--until", metavar="DATE", help="Before this time.")
@format_option
@admin_options
def export_command(
    client: AdminClient,
    kind: str,
    to: Path | None,
    by_date: Path | None,
    event_type: str | None,
    actor: str | None,
    severity: str | None,
    resource: str | None,
    tag: str | None,
    since: str | None,
    until: str | None,
    output: Format,
) -> None:
    """Export events; the log tells who did, and what."""
    if by_date is not None and (kind != "jsonl" or to is not None):
        raise CommandError("--by-date writes JSON lines into a directory", "leave --format and --to out")
    lines = client.stream(
        "/v1/audit/export",
        format=kind,
        type=event_type,
        actor=actor,
        severity=severity,
        resource=resource,
        tag=tag,
        since=unix(since, "--since"),
        until=unix(until, "--until"),
    )
    if by_date is not None:
        files = Days(by_date / "events")
        files.write(lines)
        emit(
            files.summary(),
            output,
            f"{counted(files.events, 'event')} in {counted(len(files.days), 'file')} below {files.root}",
        )
        return
    if to is None:
        for line in lines:
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    # Only a whole export gets the name that was asked for.
    temporary = to.with_name(to.name + ".part")
    with temporary.open("wb") as file:
        for line in lines:
            file.write(line)
    temporary.replace(to)
    emit({"file": str(to)}, output, f"written to {to}")


class Days:
    """Sorts the lines of an export into a file for each day; each can be verified by itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events = 0
        self.days: dict[str, dict[str, int]] = {}
        self._about: dict[str, Any] = {}
        self._open: dict[str, IO[bytes]] = {}

    def write(self, lines: Iterator[bytes]) -> None:
        """Write everything. A day's file gets its name when it is complete."""
        first = next(lines, b"")
        self._about = json.loads(first or b"{}")
        ended = False
        for line in lines:
            value = json.loads(line)
            if "end" in value:
                ended = True
                break
            self._add(value, line)
        if not ended:
            raise CommandError("the export broke off before its end", "try again")
        for file in self._open.values():
            file.close()
        for day, end in self.days.items():
            path = self._path(day)
            with path.with_suffix(".part").open("ab") as file:
                file.write(json.dumps({"end": end}).encode() + b"\n")
            path.with_suffix(".part").replace(path)

    def summary(self) -> dict[str, Any]:
        """What was written."""
        return {"directory": str(self.root), "events": self.events, "days": self.days}

    def _add(self, value: dict[str, Any], line: bytes) -> None:
        day = str(json.loads(value["body"])["at"])[:10]
        sequence = int(value["sequence"])
        self.events += 1
        file = self._file(day, sequence)
        file.write(line)
        end = self.days[day]
        end["last"], end["count"] = sequence, end["count"] + 1

    def _file(self, day: str, sequence: int) -> IO[bytes]:
        if day in self._open:
            return self._open[day]
        if len(self._open) >= _OPEN_MAX:
            self._open.pop(next(iter(self._open))).close()
        path = self._path(day).with_suffix(".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = day not in self.days
        file = path.open("wb" if fresh else "ab")
        if fresh:
            self.days[day] = {"first": sequence, "last": sequence, "count": 0}
            about = self._about | {"day": day, "first": sequence}
            file.write(json.dumps(about, ensure_ascii=False).encode() + b"\n")
        self._open[day] = file
        return file

    def _path(self, day: str) -> Path:
        year, month, number = day.split("-")
        return self.root / year / month / f"{number}.jsonl"


def unix(text: str | None, option: str) -> float | None:
    """Unix seconds of a date or time in UTC."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise CommandError(f"{option}: {text!r} is not a date", "write 2026-01-31") from error
