"""What commands print: JSON and YAML for programs, aligned text for pipes, rich tables for terminals."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from rich.console import Console, Group

Format = Literal["text", "json", "yaml"]

format_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="How to print the answer.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Rows under headings. Numbers are written as text by whoever knows their unit."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = field(default_factory=frozenset)
    """Columns that stand right-aligned, counted from 0."""


Block = str | Grid


def emit(value: object, output: Format, text: str | Sequence[Block]) -> None:
    """Print `value` as JSON or YAML, or else `text`: a string, or blocks with a blank line between them."""
    if output == "json":
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    elif output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
    else:
        show([text] if isinstance(text, str) else text)


def show(blocks: Sequence[Block]) -> None:
    """Print blocks: with rich on a terminal, aligned columns anywhere else."""
    if sys.stdout.isatty():
        console().print(rich_group(blocks))
    else:
        click.echo(plain(blocks))


def plain(blocks: Sequence[Block]) -> str:
    """Blocks as text without colour, a blank line between them."""
    return "\n\n".join(block if isinstance(block, str) else _plain_grid(block) for block in blocks)


def console() -> Console:
    """A rich console on standard output; rich itself honours NO_COLOR and TERM=dumb."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def rich_group(blocks: Sequence[Block]) -> Group:
    """Blocks as something rich can print once or redraw in place."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Text | Table] = []
    for number, block in enumerate(blocks):
        if number:
            parts.append(Text(""))
        if isinstance(block, str):
            parts.append(Text(block))
            continue
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column, heading in enumerate(block.headings):
            table.add_column(heading, justify="right" if column in block.right else "left", overflow="fold")
        for row in block.rows:
            table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        parts.append(table)
    return Group(*parts)


_STYLES = {
    "pass": "green",
    "promoted": "green",
    "fail": "bold red",
    "rolled_back": "bold red",
    "diverted": "bold red",
    "no_data": "yellow",
    "inconclusive": "yellow",
    "paused": "yellow",
    "progressing": "cyan",
}


def _style(cell: str) -> str:
    return _STYLES.get(cell.split(" ", 1)[0], "")


def _plain_grid(grid: Grid) -> str:
    table = [list(grid.headings), *[list(row) for row in grid.rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(grid.headings))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in grid.right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
