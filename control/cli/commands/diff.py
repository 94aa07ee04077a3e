"""`headgate diff`: what one configuration would change in another, value by value."""

from __future__ import annotations

import click

from config.diff import Change, diff
from config.problems import dotted
from control.cli.configuration import load
from control.cli.failure import ExitCode
from control.cli.output import Format, emit, format_option


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@format_option
def diff_command(before: str, after: str, output: Format) -> int:
    """Show what changes from one configuration to another.

    Both are compared as they will be used: defaults filled in, units resolved, routes found by name. The
    order of routes counts, as the first match is taken. Exit code 0 when they mean the same, 1 when not.
    """
    first, second = load(before), load(after)
    changes = diff(first.config, second.config)
    value = {
        "equal": not changes,
        "before": first.digest,
        "after": second.digest,
        "changes": [_plain(change) for change in changes],
    }
    emit(value, output, "\n".join(map(str, changes)) or "both mean the same")
    return ExitCode.NEGATIVE if changes else ExitCode.OK


def _plain(change: Change) -> dict[str, object]:
    return {
        "path": dotted(change.path),
        "before": change.before,
        "after": change.after,
        "restart": change.restart,
    }
