"""Commands that ask something of one deployment or experiment and give a reason for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from control.cli.client import AdminClient, admin_options
from control.cli.output import Block, Format, emit, format_option


def add_acts(
    group: click.Group,
    kind: str,
    acts: Mapping[str, str],
    show: Callable[[str, Mapping[str, Any]], str | Sequence[Block]],
) -> None:
    """Add a command for each of *acts*, whose help is given by name; *show* says what came of it in text."""
    for name, about in acts.items():
        group.command(name, help=about)(_act(kind, name, show))


def _act(
    kind: str, name: str, show: Callable[[str, Mapping[str, Any]], str | Sequence[Block]]
) -> Callable[..., None]:
    @click.argument("identifier", metavar="ID|ROUTE")
    @click.option("--reason", default="", help=f"Why; kept with the {kind} and in the audit log.")
    @format_option
    @admin_options
    def act(client: AdminClient, identifier: str, reason: str, output: Format) -> None:
        path = f"/v1/{kind}s/{quote(identifier, safe='')}/{name}"
        answer = client.post(path, {"reason": reason})
        emit(answer, output, show(name, answer))

    return act
