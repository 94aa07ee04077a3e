"""How two answers differ: one finding for each place."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

# One pair tells enough by then; a model that is wrong everywhere is not compared to its last number.
FINDINGS_MAX: Final = 32
PATH_CHARACTERS_MAX: Final = 200


class Finding(NamedTuple):
    """A difference: of which kind, and where: a JSON pointer with * in lists, empty for the whole."""

    path: str
    kind: str
    primary: Any = None
    shadow: Any = None


KINDS: Final = (
    "status",
    "header",
    "missing",
    "extra",
    "type",
    "number",
    "value",
    "length",
    "label",
    "embedding",
    "text",
    "body",
    "bad_json",
    "bad_stream",
    "bad_encoding",
)
"""Every kind of finding there is."""


class Findings:
    """The differences of one pair, as many as are kept."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Finding] = []

    @property
    def full(self) -> bool:
        """Whether more would not be kept."""
        return len(self.found) >= FINDINGS_MAX

    def add(self, path: tuple[str, ...], kind: str, primary: Any = None, shadow: Any = None) -> None:
        """Note a difference."""
        if not self.full:
            self.found.append(Finding(pointer(path), kind, primary, shadow))


def pointer(path: tuple[str, ...]) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    text = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
    return text if len(text) <= PATH_CHARACTERS_MAX else text[: PATH_CHARACTERS_MAX - 1] + "…"
