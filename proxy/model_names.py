"""Finds and replaces the name of the model in the JSON that clients and model servers exchange."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.wire.chunked import Dechunker

if TYPE_CHECKING:
    from proxy.held import Held

MODEL: Final = b"model"
# Where events hold the answer one level deeper (OpenAI's responses, Anthropic's messages).
HOLDERS: Final = (b"response", b"message")
# Strings and brackets that are looked at, some ten milliseconds' worth; a body of more stays as it is.
TOKENS_MAX: Final = 50_000

_TOKENS: Final = re.compile(rb'"(?>(?:[^"\\]++|\\.)*)"|[{}\[\]]', re.DOTALL).finditer
_COLON: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*").match
_DATA: Final = re.compile(rb"(?:\A|(?<=[\r\n]))data:[ \t]*(?=\{)([^\r\n]*)")
_QUOTE: Final = ord('"')
_BRACE: Final = ord("{")
_BRACKET: Final = ord("[")
# About the bytes of a body that is another one now.
_DIGESTS: Final = (b"content-md5", b"content-digest", b"digest", b"repr-digest")
_LENGTHS: Final = (b"content-length", b"transfer-encoding", b"trailer", *_DIGESTS)


def model_spans(text: bytes, *, deep: bool) -> list[tuple[int, int]]:
    """Where the values of `model` stand in a JSON object, quotes included; only strings are names.

    All of them, because parsers differ in which one of two they take. `deep`: also those in the objects that
    `HOLDERS` names. Empty for what is no object, or has too many parts to be looked at.
    """
    found: list[tuple[int, int]] = []
    depth = 0
    held = False
    value_at = holder_at = -1
    for number, token in enumerate(_TOKENS(text)):
        if number >= TOKENS_MAX:
            return []
        start, end = token.span()
        first = text[start]
        if first == _QUOTE:
            if start == value_at:
                found.append((start, end))
            elif depth == 1 or (held and depth == 2):
                colon = _COLON(text, end)
                if colon is not None:
                    name = _string(text[start:end])
                    if name == MODEL:
                        value_at = colon.end()
                    elif deep and depth == 1 and name in HOLDERS:
                        holder_at = colon.end()
        elif first in (_BRACE, _BRACKET):
            depth += 1
            if depth == 1 and first != _BRACE:
                return []
            if depth == 2:
                held = first == _BRACE and start == holder_at
        else:
            depth -= 1
    return found


def _string(token: bytes) -> bytes:
    if b"\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token)).encode()
    except ValueError:
        return b""


def replaced(text: bytes, spans: list[tuple[int, int]], value: bytes) -> bytes:
    """`text` with another value at these places."""
    parts: list[bytes] = []
    at = 0
    for start, end in spans:
        parts += (text[at:start], value)
        at = end
    return b"".join((*parts, text[at:]))


def restored(text: bytes, name: bytes) -> bytes:
    """A JSON answer with the name of the model that its client knows (a JSON string)."""
    return replaced(text, model_spans(text, deep=True), name)


def restored_events(lines: bytes, name: bytes) -> bytes:
    """The same for whole lines of a stream of events."""
    if MODEL not in lines:
        return lines
    return _DATA.sub(lambda line: line[0][: line.start(1) - line.start()] + restored(line[1], name), lines)


class Renamed(NamedTuple):
    """A request under another name: all of it, the offset of its blank line, and the client's JSON string."""

    data: bytes
    end: int
    name: bytes


def rename(held: Held, body: bytes, model: bytes) -> Renamed | None:
    """A whole request for the model that its server calls `model`; None when it names none.

    The answer will be looked into, so it must not be compressed.
    """
    spans = model_spans(body, deep=False)
    if not spans:
        return None
    start, end = spans[-1]
    name = body[start:end]
    body = replaced(body, spans, json_name(model))
    head = with_length(held.head[: held.end], len(body), without=(b"accept-encoding",))
    if held.chunked:
        head = head.replace(b"content-length: %d\r\n" % len(body), b"transfer-encoding: chunked\r\n")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return Renamed(head + b"\r\n" + body, len(head), name)


def renamed_copy(head: bytes, body: bytes, name: bytes, limit: int) -> tuple[bytes, bytes]:
    """Head (see `with_length`) and framed body of a request with this name of the model (a JSON string).

    As they are where it names no model, or has more than `limit` bytes. Chunks become a length.
    """
    if len(body) > limit:
        return head, body
    content = b"".join(Dechunker().feed(body)) if b"\r\ntransfer-encoding:" in head.lower() else body
    spans = model_spans(content, deep=False)
    if not spans:
        return head, body
    content = replaced(content, spans, name)
    return with_length(head, len(content)), content


def json_name(model: bytes) -> bytes:
    """A model's name as a JSON string; empty for none."""
    return json.dumps(model.decode()).encode() if model else b""


def with_length(head: bytes, length: int, *, without: tuple[bytes, ...] = ()) -> bytes:
    """A head (all lines with their CRLF, no blank one) for a body of this length instead of its own."""
    first, *lines = head[:-2].split(b"\r\n")
    dropped = (*_LENGTHS, *without)
    kept = [line for line in lines if line[: line.index(b":")].lower() not in dropped]
    return b"\r\n".join((first, *kept, b"content-length: %d" % length, b""))
