"""What differs in meaning between two configurations, and whether a running Headgate can take it on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from config.problems import Path, dotted
from config.render import plain, to_line
from config.schema import Config

# Sockets, processes and the state directory are set up once; everything else is in the routing table.
RESTART_KEYS: Final = frozenset({"listeners", "admin", "workers", "state"})
# Lists whose entries are known by a key of theirs, so that moving one is not a change of all.
_IDENTITY: Final = {"listeners": "bind", "tokens": "name", "endpoints": "url", "routes": "name"}
_SECRET: Final = "sha256"  # noqa: S105 - the name of the key


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that differs; None stands for "not there"."""

    path: Path
    before: Any
    after: Any
    restart: bool
    """Whether it takes effect only when Headgate is started again."""

    def __str__(self) -> str:
        where = dotted(self.path)
        note = " (needs a restart)" if self.restart else ""
        if self.before is None:
            return f"+ {where}: {to_line(self.after)}{note}"
        if self.after is None:
            return f"- {where}: {to_line(self.before)}{note}"
        return f"~ {where}: {to_line(self.before)} -> {to_line(self.after)}{note}"


def diff(before: Config, after: Config) -> list[Change]:
    """Every difference, in the order of the schema; empty when both mean the same."""
    changes = _mappings(
        plain(before, defaults=True, short=False), plain(after, defaults=True, short=False), ()
    )
    return [_hidden(change) for change in changes]


def _values(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _mappings(before, after, path)
    elif isinstance(before, list) and isinstance(after, list) and path[-1] in _IDENTITY:
        yield from _entries(before, after, path)
    elif _canonical(before) != _canonical(after):
        yield Change(path=path, before=before, after=after, restart=path[0] in RESTART_KEYS)


def _mappings(before: Mapping[str, Any], after: Mapping[str, Any], path: Path) -> Iterator[Change]:
    for key in dict.fromkeys([*before, *after]):
        yield from _values(_present(before, key), _present(after, key), (*path, key))


def _present(values: Mapping[str, Any], key: str) -> Any:
    """The value of a key, None when it is not there; a kind's own null is something that is there."""
    return "null" if key in values and values[key] is None else values.get(key)


def _canonical(value: Any) -> str:
    # Python holds 1, 1.0 and true for equal; a kind of split may not.
    return json.dumps(value, sort_keys=True)


def _entries(before: list[Any], after: list[Any], path: Path) -> Iterator[Change]:
    key = _IDENTITY[str(path[-1])]
    named_before = {entry[key]: entry for entry in before}
    named_after = {entry[key]: entry for entry in after}
    yield from _mappings(named_before, named_after, path)
    kept_before = [name for name in named_before if name in named_after]
    kept_after = [name for name in named_after if name in named_before]
    # The first route that matches is taken, so their order is part of the meaning; elsewhere it is not.
    if path == ("routes",) and kept_before != kept_after:
        yield Change(path=(*path, "order"), before=kept_before, after=kept_after, restart=False)


def _hidden(change: Change) -> Change:
    if change.path[-1] == _SECRET:
        return Change(
            path=change.path,
            before=None if change.before is None else "(one token)",
            after=None if change.after is None else "(another token)",
            restart=change.restart,
        )
    return Change(
        path=change.path,
        before=_without_secrets(change.before),
        after=_without_secrets(change.after),
        restart=change.restart,
    )


def _without_secrets(value: Any) -> Any:
    match value:
        case dict():
            return {k: "(hidden)" if k == _SECRET else _without_secrets(v) for k, v in value.items()}
        case list():
            return [_without_secrets(item) for item in value]
        case _:
            return value
