"""One pass over a head by possessive regular expressions: the quickest form where nothing is compiled."""

import re
from typing import Final

from proxy.wire.fields import Fields
from proxy.wire.grammar import CONTENT_LENGTH, FIELD_LINES_RE, HOST, TARGET_RE, TOKEN_RE, VALUE_RE

_REQUEST: Final = re.compile(
    rb"(" + TOKEN_RE + rb") (" + TARGET_RE + rb") HTTP/1\.([01])\r\n" + FIELD_LINES_RE
).fullmatch
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE_RE + rb")?\r\n()" + FIELD_LINES_RE
).fullmatch
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}+").fullmatch


def request(fields: Fields, data: bytes, end: int, headers_max: int) -> bool:
    """Check the grammar of `data[:end]`, a request head up to its blank line, and report known fields."""
    # Bounded by `end`: without it the expression would run into the body, and over all of it.
    match = _REQUEST(data, 0, end)
    if match is None or _too_many(data, end, headers_max):
        return False
    method, target, minor = match.groups()
    fields.method = method
    fields.target = target
    start = len(method) + 1
    fields.target_start = start
    fields.target_end = target_end = start + len(target)
    if minor == b"0":
        fields.minor = 0
    fields.line_end = target_end + 11
    return _known(fields, data, end)


def response(fields: Fields, data: bytes, end: int, headers_max: int) -> bool:
    """Check the grammar of `data[:end]`, a response head up to its blank line, and report known fields."""
    match = _RESPONSE(data, 0, end)
    if match is None or _too_many(data, end, headers_max):
        return False
    if match[1] == b"0":
        fields.minor = 0
    fields.status = int(match[2])
    fields.line_end = match.end(3)
    return _known(fields, data, end)


def chunk_size(data: bytes, start: int, end: int) -> int:
    """The number in `data[start:end]`, 1 to 15 hexadecimal digits; -1 when it is none."""
    if _CHUNK_SIZE(data, start, end) is None:
        return -1
    return int(data[start:end], 16)


def _too_many(data: bytes, end: int, headers_max: int) -> bool:
    # The shortest line, "a:" and CRLF, has four bytes, so that most heads need no count.
    return end > headers_max * 4 and data.count(b"\n", 0, end) > headers_max + 1


def _known(fields: Fields, data: bytes, end: int) -> bool:
    kinds = fields.kinds
    lower = fields.lowered = data[:end].lower()
    position = 0
    for name, content in fields.find_known(lower):
        kind = kinds[name]
        if kind == CONTENT_LENGTH:
            digits = content.rstrip(b" ")
            if not fields.sized(int(digits) if digits.isdigit() and len(digits) <= 18 else -1):
                return False
        elif kind == HOST:
            if not fields.hosted(content):
                return False
        else:
            # Known names come in order, so the next line of this name is the one that was found.
            start = lower.index(b"\n" + name + b":", position) + 1
            value = start + len(name) + 1
            position = lower.index(b"\r", value)
            if not fields.special(kind, data, start, value, position):
                return False
    return True
