"""`headgate gate`: a pipeline's step that waits for a rollout's decision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from control.cli.client import AdminClient, admin_options
from control.cli.commands.wait import Duration
from control.cli.failure import CommandError
from control.cli.output import Format, emit, format_option
from control.gate.follow import Gate, Undecided, Wish
from control.gate.junit import write_junit
from control.gate.markdown import append_markdown
from control.gate.verdict import GateCode, GateResult, Until

_T = TypeVar("_T")


class GateCommand(click.Command):
    """A command whose own errors end with 4, as 2 stands for "undecided"."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        return _recoded(lambda: super(GateCommand, self).make_context(info_name, args, parent, **extra))

    def invoke(self, ctx: click.Context) -> Any:
        return _recoded(lambda: super(GateCommand, self).invoke(ctx))


@click.command("gate", cls=GateCommand)
@click.argument("route")
@click.option(
    "--release", default="", metavar="NAME", help="Judge only a rollout of this release or variant."
)
@click.option(
    "--until",
    type=click.Choice([choice.value for choice in Until]),
    default="decision",
    show_default=True,
    help="What to wait for: the end, or only the comparison of its shadow.",
)
@click.option("--timeout", type=Duration(), default="30m", show_default=True, help="How long to wait.")
@click.option(
    "--appear",
    type=Duration(),
    default="60s",
    show_default=True,
    help="How long the rollout may take to begin.",
)
@click.option(
    "--watch",
    type=Duration(),
    default="0s",
    show_default=True,
    help="How long to watch on after a promotion.",
)
@click.option(
    "--on-undecided",
    type=click.Choice([choice.value for choice in Undecided]),
    default="hold",
    show_default=True,
    help="What becomes of the rollout when the time is up.",
)
@click.option(
    "--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML to this file."
)
@click.option(
    "--summary",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append a Markdown summary to this file.",
)
@format_option
@admin_options
def gate_command(
    client: AdminClient,
    route: str,
    release: str,
    until: str,
    timeout: float,
    appear: float,
    watch: float,
    on_undecided: str,
    junit: Path | None,
    summary: Path | None,
    output: Format,
) -> int:
    """Wait for the decision on a rollout; the exit code is the decision.

    0 promoted, 1 rolled back (or aborted, or replaced), 2 undecided when the time was up, 3 Headgate cannot
    be reached, 4 wrong usage.

    What changes is said on standard error, and at least one line a minute. A Headgate that restarts meanwhile
    is waited for.
    """
    for path in (junit, summary):
        if path is not None:
            _writable(path)
    wish = Wish(
        route=route,
        release=release,
        timeout_s=timeout,
        appear_s=appear,
        watch_s=watch,
        undecided=Undecided(on_undecided),
        until=Until(until),
    )
    result = Gate(client, wish, lambda line: click.echo(line, err=True)).run()
    _report(result, junit, summary)
    emit(result.to_json(), output, f"{result.title}: {result.reason}" if result.reason else result.title)
    return int(result.code)


def _writable(path: Path) -> None:
    """Better now than after half an hour of waiting."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}", "name another file") from error


def _report(result: GateResult, junit: Path | None, summary: Path | None) -> None:
    try:
        if junit is not None:
            write_junit(result, junit)
        if summary is not None:
            append_markdown(result, summary)
    except OSError as error:
        # The decision itself must not be lost over a full disk.
        click.echo(f"headgate: the report could not be written: {error}", err=True)


def _recoded(action: Callable[[], _T]) -> _T:
    try:
        return action()
    except click.ClickException as error:
        if error.exit_code != GateCode.UNREACHABLE:
            vars(error)["exit_code"] = int(GateCode.ERROR)
        raise
