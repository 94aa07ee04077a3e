"""What a table says about the streams of a route."""

from __future__ import annotations

from proxy import plain

FORMAT = "openai"


class StreamSpec:
    """How the token streams of a route are looked at.

    `stall`: seconds between two pieces of content that are too long; `stall_fails`: whether an answer with
    such a pause counts as a failure.
    """

    __slots__ = ("stall", "stall_fails")

    def __init__(self, stall: float, *, stall_fails: bool) -> None:
        self.stall = stall
        self.stall_fails = stall_fails


def read_streams(value: object, place: str) -> StreamSpec | None:
    """The streams of a route in a table; None where they are not looked at.

    Raises:
        PlainError: the entry is malformed, or of a format that this version does not know.
    """
    if value is None:
        return None
    entry = plain.mapping(value, place)
    format_ = plain.text(plain.required(entry, "format", place), f"{place}.format")
    if format_ != FORMAT:
        raise plain.PlainError(f"{place}.format", f"{format_!r} is not known, only {FORMAT!r} is")
    stall = plain.number(plain.required(entry, "stall", place), f"{place}.stall")
    return StreamSpec(stall, stall_fails=entry.get("stall_fails") is True)
