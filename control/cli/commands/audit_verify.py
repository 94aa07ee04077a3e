"""`headgate audit verify`: is the log the one that was signed, whatever anybody did to the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.counted import counted
from control.cli.failure import CommandError, ExitCode
from control.cli.output import Format, Grid, emit, format_option

if TYPE_CHECKING:
    from control.audit.offline import Progress
    from control.audit.verify import StoredNote, Verdict


@click.command("verify")
@click.argument("export", required=False, type=click.Path(exists=True, path_type=Path), metavar="[EXPORT]")
@click.option("--database", metavar="URL", help="sqlite:///path or postgresql://...; default: in --state.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="State directory, for the database, the key and the last checkpoint.  [default: .headgate]",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take the database and the state directory from the state section of this configuration.",
)
@click.option("--key", type=click.Path(path_type=Path), help="Public key; default: audit.pub in --state.")
@click.option(
    "--checkpoint",
    "older",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A checkpoint you kept elsewhere; may be repeated.",
)
@format_option
def verify_command(
    export: Path | None,
    database: str | None,
    state: Path | None,
    config: Path | None,
    key: Path | None,
    older: tuple[Path, ...],
    output: Format,
) -> ExitCode:
    """Check every event, hash and signature; exit code 0 when the log is whole, else 1.

    EXPORT is a file of JSON lines, or a directory that was written by date. Without it the database is read,
    and nothing is written to it; the control process need not run. Take the public key from a place that
    whoever might have changed the log could not change.
    """
    from control.audit.exported import ExportError, verify_export
    from control.audit.keys import KeyFileError, read_public
    from control.audit.offline import verify_database
    from control.library.place import configured
    from control.store.engine import StoreError, sqlite_url
    from control.store.offline import open_offline

    try:
        if config is not None:
            place, directory = configured(config)
            database, state = database or place, state or directory
        state = state or Path(".headgate")
        public = read_public(key or state / "audit.pub")
        kept = list(older)
        beside = state / "audit.checkpoint"
        if export is None and not older and (database is None or config is not None) and beside.exists():
            kept.append(beside)
        notes = [_note(path) for path in kept]
        with _progress() as progress:
            if export is not None:
                verdict = verify_export(export, public, notes, progress)
            else:
                with open_offline(database or sqlite_url(state / "headgate.db")) as stored:
                    verdict = verify_database(stored, public, notes, progress)
    except (KeyFileError, ExportError, StoreError) as error:
        raise CommandError(str(error)) from error
    emit(verdict.to_json(), output, [_summary(verdict), *_findings(verdict)])
    return ExitCode.OK if verdict.whole else ExitCode.NEGATIVE


def _note(path: Path) -> StoredNote:
    from control.audit.note import NoteError, parse
    from control.audit.verify import StoredNote

    try:
        text = path.read_text("utf-8")
        return StoredNote(size=parse(text).checkpoint.size, text=text, place=str(path))
    except (OSError, UnicodeDecodeError, NoteError) as error:
        raise CommandError(f"{path}: is no checkpoint ({error})", "give a file with a signed note") from error


def _summary(verdict: Verdict) -> str:
    lines = ["The log is whole." if verdict.whole else f"The log is NOT whole: {verdict.faults} faults."]
    lines.append(f"events       {verdict.size}")
    if verdict.trimmed:
        lines.append(f"removed      the first {verdict.trimmed}, by retention; their hashes are checked")
    if verdict.complete:
        lines.append(f"root         {verdict.root.hex()}")
    else:
        lines.append("complete     no: each event shown is proven, not that none was left out")
    lines.append(f"checkpoints  {verdict.checkpoints} hold, keys {', '.join(verdict.keys)}")
    if verdict.signed:
        lines.append(f"signed       up to event {verdict.signed}, {verdict.signed_at}")
    if verdict.complete and verdict.size > verdict.signed:
        lines.append(
            f"unsigned     {verdict.size - verdict.signed} at the end, not covered by a checkpoint yet"
        )
    if verdict.erased:
        lines.append(f"erased       {counted(verdict.erased, 'event')} without their personal part")
    return "\n".join(lines)


def _findings(verdict: Verdict) -> list[Grid | str]:
    if verdict.whole:
        return []
    rows = [[finding.kind, finding.text] for finding in verdict.findings]
    found: list[Grid | str] = [Grid(headings=["fault", "what is wrong"], rows=rows)]
    if verdict.faults > len(rows):
        found.append(f"and {verdict.faults - len(rows)} more")
    return found


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("events", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
