"""Event streams put together again: what the tokens add up to, however they were cut into events.

Two runs of one model rarely cut their answer at the same places. So the events of a stream are folded into
one value of their own shape: the pieces of a text are joined, entries of lists with an `index` meet their
like, and of everything else the last word counts.
Format: WHATWG HTML, server-sent events, 9.2.6.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

# Fields that streams of chat, completion and generate servers send piece by piece.
PIECEWISE: Final = frozenset(
    {
        "arguments",
        "content",
        "generated_text",
        "partial_json",
        "reasoning",
        "reasoning_content",
        "refusal",
        "text",
        "text_output",
        "thinking",
    }
)
DONE: Final = "[DONE]"
DEPTH_MAX: Final = 40


class StreamError(ValueError):
    """The stream is not readable text."""


def reassembled(content: bytes) -> Any:
    """The value that a stream's events add up to.

    A stream whose every event is a JSON object gives such an object, with its end mark left out; streams of
    several event names give one value by name; anything else gives the list of its data.

    Raises:
        StreamError: it is no text.
    """
    events = parsed(content)
    named: dict[str, Any] = {}
    others: list[str] = []
    for name, data in events:
        if data.strip() == DONE:
            continue
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            others.append(data)
            continue
        named[name] = folded(named[name], value) if name in named else value
    if others:
        return {"events": named, "data": others}
    if set(named) <= {""}:
        return named.get("", {})
    return named


def parsed(content: bytes) -> list[tuple[str, str]]:
    """The events of a stream as (name, data); comments, ids and events without data are left out.

    An event that the stream breaks off in counts, too: an answer is compared whole.

    Raises:
        StreamError: it is no text.
    """
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise StreamError("not UTF-8") from error
    events: list[tuple[str, str]] = []
    name, data = "", list[str]()
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if not line:
            if data:
                events.append((name, "\n".join(data)))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
    return events


def folded(before: Any, after: Any, depth: int = 0) -> Any:
    """What two values of one stream add up to, the later one last."""
    if depth > DEPTH_MAX:
        return after
    if isinstance(before, dict) and isinstance(after, dict):
        result = dict(before)
        for key, value in after.items():
            old = result.get(key)
            if key in PIECEWISE and isinstance(old, str) and isinstance(value, str):
                result[key] = old + value
            elif old is None:
                result[key] = value
            elif value is not None:
                result[key] = folded(old, value, depth + 1)
        return result
    if _indexed(before) and _indexed(after):
        entries = {entry["index"]: entry for entry in before}
        for entry in after:
            index = entry["index"]
            entries[index] = folded(entries[index], entry, depth + 1) if index in entries else entry
        return [entries[index] for index in sorted(entries)]
    return after


def _indexed(value: Any) -> bool:
    """Whether a list's entries say which place they have."""
    return isinstance(value, list) and all(
        isinstance(entry, dict) and type(entry.get("index")) is int for entry in value
    )
