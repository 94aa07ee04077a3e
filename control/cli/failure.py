"""How a command fails: one line on standard error and an exit code that a script can rely on."""

from __future__ import annotations

from enum import IntEnum

import click


class ExitCode(IntEnum):
    """What the exit status of every `headgate` command means."""

    OK = 0
    NEGATIVE = 1
    """The command worked, and the answer is no: rolled back, not ready, files differ."""
    ERROR = 2
    """Wrong usage, an unreadable or wrong file, a port in use, a refused token."""
    UNREACHABLE = 3
    """Nobody answered at the admin address."""
    UNDECIDED = 4
    """Time ran out before there was an answer."""


class CommandError(click.ClickException):
    """A failure for the user's eyes: what failed and, after a semicolon, what would help."""

    exit_code = int(ExitCode.ERROR)

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)


class UnreachableError(CommandError):
    """Nobody answers where the admin interface should be, or its control process is away."""

    exit_code = int(ExitCode.UNREACHABLE)


class UndecidedError(CommandError):
    """Time ran out before there was an answer."""

    exit_code = int(ExitCode.UNDECIDED)


class ProblemsError(CommandError):
    """Several problems at once, one line each; each line already names its place."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))


def report(error: click.ClickException) -> None:
    """Write `error` to standard error, one line for each problem."""
    message = error.format_message()
    if isinstance(error, ProblemsError):
        click.echo(message, err=True)
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        message = f"{message.rstrip('.')}; see '{error.ctx.command_path} --help'"
    click.echo("headgate: " + " ".join(message.split()), err=True)
