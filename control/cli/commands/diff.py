"""`headgate diff`: what one configuration would change in another, value by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from control.cli.configuration import load
from control.cli.failure import ExitCode
from control.cli.output import Format, emit, format_option


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that differs; None on a side means that it is not there."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.path}: {_shown(self.after)}"
        if self.after is None:
            return f"- {self.path}: {_shown(self.before)}"
        return f"~ {self.path}: {_shown(self.before)} -> {_shown(self.after)}"


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@format_option
def diff_command(before: str, after: str, output: Format) -> int:
    """Show what changes from one configuration to another.

    Both are compared as they will be used: defaults filled in, units resolved, routes found by name. Order of
    routes counts, as the first match is taken. Exit code 0 when they mean the same, 1 when not.
    """
    first, second = load(before), load(after)
    changes = list(compare(first.config.to_json(), second.config.to_json()))
    text = "\n".join(map(str, changes)) or "both mean the same"
    emit(
        {
            "equal": not changes,
            "before": first.digest,
            "after": second.digest,
            "changes": [*map(asdict, changes)],
        },
        output,
        text,
    )
    return ExitCode.NEGATIVE if changes else ExitCode.OK


def compare(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Every leaf that differs between two JSON values; lists of named things are matched by name."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from compare(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif _named(before) and _named(after):
        yield from compare(_by_name(before), _by_name(after), path)
        order = [[entry["name"] for entry in entries] for entries in (before, after)]
        if sorted(order[0]) == sorted(order[1]) and order[0] != order[1]:
            yield Change(path=f"{path} (order)", before=order[0], after=order[1])
    elif before != after:
        yield Change(path=path, before=before, after=after)


def _named(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(isinstance(entry, Mapping) and "name" in entry for entry in value)
    )


def _by_name(entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {f"[{entry['name']}]": entry for entry in entries}


def _shown(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
