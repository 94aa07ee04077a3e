"""One pass over a head by possessive regular expressions: the quickest form where nothing is compiled."""

import re
from typing import Final

from proxy.wire.fields import OWS, Fields
from proxy.wire.grammar import CONTENT_LENGTH, FIELD_LINES_RE, TARGET_RE, TOKEN_RE, VALUE_RE

_REQUEST: Final = re.compile(
    rb"(" + TOKEN_RE + rb") (" + TARGET_RE + rb") HTTP/1\.([01])\r\n()" + FIELD_LINES_RE
).fullmatch
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE_RE + rb")?+\r\n()" + FIELD_LINES_RE
).fullmatch
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}+").fullmatch


def request(fields: Fields, data: bytes, end: int, headers_max: int) -> bool:
    """Check the grammar of `data[:end]`, a request head up to its blank line, and report known fields."""
    # Bounded by `end`: without it the expression would run into the body, and over all of it.
    match = _REQUEST(data, 0, end)
    if match is None or data.count(b"\n", 0, end) > headers_max + 1:
        return False
    fields.first_end = match.end(1)
    fields.second_end = match.end(2)
    fields.minor = int(match[3])
    fields.line_end = match.end(4)
    return _known(fields, data, end)


def response(fields: Fields, data: bytes, end: int, headers_max: int) -> bool:
    """Check the grammar of `data[:end]`, a response head up to its blank line, and report known fields."""
    match = _RESPONSE(data, 0, end)
    if match is None or data.count(b"\n", 0, end) > headers_max + 1:
        return False
    fields.minor = int(match[1])
    fields.status = int(match[2])
    fields.line_end = match.end(3)
    return _known(fields, data, end)


def chunk_size(data: bytes, start: int, end: int) -> int:
    """The number in `data[start:end]`, 1 to 15 hexadecimal digits; -1 when it is none."""
    if _CHUNK_SIZE(data, start, end) is None:
        return -1
    return int(data[start:end], 16)


def _known(fields: Fields, data: bytes, end: int) -> bool:
    kinds = fields.kinds
    for match in fields.find_names(data[:end].lower()):
        kind = kinds[match[1]]
        value = match.end()
        value_end = data.index(b"\r", value)
        if kind == CONTENT_LENGTH:
            digits = data[value:value_end].strip(OWS)
            if not fields.sized(int(digits) if digits.isdigit() and len(digits) <= 18 else -1):
                return False
        elif not fields.special(kind, data, match.start() + 1, value, value_end):
            return False
    return True
