"""The lines that a generated file begins with: who wrote it, from which options, and a digest of the rest."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

_WHAT: Final = (
    "Written by `headgate ci generate {provider}`. Change the options and write it again; edits are refused."
)
_FORM: Final = "headgate-ci"
_LINES: Final = 3


class Origin(StrEnum):
    """Where a file that is there already comes from."""

    OURS = "ours"
    """As it was written."""
    EDITED = "edited"
    """Written here and changed by somebody since."""
    FOREIGN = "foreign"
    """Written by somebody else, or so damaged that it cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What the marker of a file says."""

    origin: Origin
    provider: str = ""
    options: dict[str, Any] | None = None
    """As they were chosen; None when the file is foreign."""


def mark(body: str, *, provider: str, options: dict[str, Any], comment: str) -> str:
    """A file's text: three lines of comment, then `body`."""
    chosen = json.dumps(options, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = _digest(provider, chosen, body)
    header = [_WHAT.format(provider=provider), f"{_FORM}: {provider} {digest}", f"{_FORM}-options: {chosen}"]
    return "".join(f"{comment} {line}\n" for line in header) + body


def read(text: str, comment: str) -> Marked:
    """What the marker of `text` says of it."""
    lines = text.split("\n", _LINES)
    if len(lines) <= _LINES:
        return Marked(origin=Origin.FOREIGN)
    prefix = re.escape(comment)
    named = re.fullmatch(rf"{prefix} {_FORM}: ([a-z]+) (sha256:[0-9a-f]{{64}})", lines[1])
    chosen = re.fullmatch(rf"{prefix} {_FORM}-options: (\{{.*\}})", lines[2])
    if named is None or chosen is None:
        return Marked(origin=Origin.FOREIGN)
    try:
        options = json.loads(chosen[1])
    except ValueError:
        return Marked(origin=Origin.FOREIGN)
    provider, digest = named.groups()
    first = lines[0] == f"{comment} {_WHAT.format(provider=provider)}"
    ours = first and _digest(provider, chosen[1], lines[3]) == digest
    return Marked(origin=Origin.OURS if ours else Origin.EDITED, provider=provider, options=options)


def _digest(provider: str, chosen: str, body: str) -> str:
    return "sha256:" + hashlib.sha256(f"{provider}\n{chosen}\n{body}".encode()).hexdigest()
