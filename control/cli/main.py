"""Entry point of `headgate`: finds the command, imports only its file, turns failures into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from control.cli.catalogue import CATALOGUE
from control.cli.failure import CommandError, ExitCode, report


class Program(click.Group):
    """A group of commands that imports a command's module when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(CATALOGUE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = CATALOGUE.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"control.cli.commands.{entry.module}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in CATALOGUE.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002
        windows_expand_args: bool = True,  # noqa: ARG002
        **extra: Any,
    ) -> Any:
        """Run the command and exit; what goes wrong is one line on standard error."""
        try:
            outcome = super().main(args, prog_name or "headgate", complete_var, False, **extra)
        except click.ClickException as error:
            report(error)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("headgate: interrupted", err=True)
            sys.exit(130)
        except Exception as error:
            # Python would exit with 1, which means "the answer is no" to a script.
            if os.environ.get("HEADGATE_TRACEBACK"):
                traceback.print_exc()
            report(_unexpected(error))
            sys.exit(ExitCode.ERROR)
        sys.exit(outcome if isinstance(outcome, int) else ExitCode.OK)


def _unexpected(error: Exception) -> CommandError:
    what = " ".join(str(error).split()) or "no message"
    return CommandError(
        f"a mistake of Headgate itself: {type(error).__name__}: {what}",
        "set HEADGATE_TRACEBACK=1 to see where, and please report it",
    )


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from control.cli.commands.version import headgate_version
    from proxy.compiled import form

    click.echo(f"headgate {headgate_version()} ({form()})")
    ctx.exit()


@click.command(
    "headgate",
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 the answer is no, 2 error, 3 nobody answers, 4 time ran out.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
def cli() -> None:
    """Headgate: a reverse proxy that splits traffic, judges canaries and rolls back by itself."""


def main() -> None:
    """Console script."""
    cli.main()
