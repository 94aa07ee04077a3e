"""One pass over a head by possessive regular expressions: the quickest form where nothing is compiled."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from proxy.wire.fields import OWS, Fields
from proxy.wire.grammar import CONTENT_LENGTH, FIELD_LINES_RE, HOST, TARGET_RE, TOKEN_RE, VALUE_RE

if TYPE_CHECKING:
    from proxy.wire.head import RequestHead

_REQUEST: Final = re.compile(
    rb"(" + TOKEN_RE + rb") (" + TARGET_RE + rb") HTTP/1\.([01])\r\n" + FIELD_LINES_RE
).fullmatch
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE_RE + rb")?\r\n()" + FIELD_LINES_RE
).fullmatch
# The start line of nearly all requests: whatever else there is, `request` takes.
_PLAIN_LINE: Final = rb"(GET|POST) (/" + TARGET_RE.removesuffix(b"++") + rb"*+) HTTP/1\.1\r\n"
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}+").fullmatch


Match: TypeAlias = Callable[[bytes, int, int], "re.Match[bytes] | None"]


def plain_expression(kinds: dict[bytes, int], noted: bytes) -> Match:
    """An expression that matches a whole head if it asks nothing special of a proxy, and finds what matters.

    Groups: method, target, Host, Content-Length, a line `Connection: keep-alive`, the field `noted`. Heads
    with another known field, or with one of these twice, are not matched: `request` judges them.
    """
    value = rb" *+(" + VALUE_RE + rb")\r\n"
    # First, because most fields begin with a letter that no known name begins with.
    letters = re.escape(bytes({letter for name in kinds for letter in (name[:1] + name[:1].upper())}))
    lines = [
        rb"(?![" + letters + rb"])" + TOKEN_RE + rb":" + VALUE_RE + rb"\r\n",
        _any_case(b"host") + rb":(?(3)(?!))" + value,
        _any_case(b"content-length") + rb":(?(4)(?!)) *+([0-9]{1,18}+) *+\r\n",
        rb"((?(5)(?!))" + _any_case(b"connection") + rb": " + _any_case(b"keep-alive") + rb"\r\n)",
    ]
    absent = rb""
    if noted:
        lines.append(_any_case(re.escape(noted)) + rb":(?(6)(?!))" + value)
    else:
        absent = rb"(?:(?!)())?"
    lines.append(rb"(?!" + _alternatives(sorted(kinds)) + rb":)" + TOKEN_RE + rb":" + VALUE_RE + rb"\r\n")
    return re.compile(_PLAIN_LINE + rb"(?>(?:" + rb"|".join(lines) + rb")*)" + absent).fullmatch


def plain_request(head: RequestHead, data: bytes, end: int, headers_max: int) -> bool:
    """Read a head that `plain_expression` matches; False, and nothing changed, if `request` has to judge.

    benchmarks/micro/bench_wire.py: two thirds of the time of `request`, which needs a lower-case copy and a
    second search.
    """
    match = head.plain(data, 0, end)
    if match is None or (end > headers_max * 4 and _too_many(data, end, headers_max)):
        return False
    method, target, host, length, kept, noted = match.groups()
    if host is None or not head.hosted(host):
        head.reset()
        return False
    head.method = method
    head.target = target
    head.target_start = start = len(method) + 1
    head.target_end = start = start + len(target)
    head.line_end = start + 11
    if length is not None:
        head.content_length = int(length)
    if noted is not None:
        head.noted_value = noted.strip(OWS)
    if kept is not None:
        head.cuts = list(match.span(5))
    head.keep_alive = True
    head.is_head = False
    head.lowered = b""
    return True


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


def _any_case(name: bytes) -> bytes:
    """An expression for a name in any case; an expression that ignores case takes three times as long."""
    return re.sub(rb"[a-z]", lambda letter: b"[" + letter[0] + letter[0].upper() + b"]", name)


def _alternatives(names: list[bytes]) -> bytes:
    """An expression for one of some names in any case, which looks at each character once."""
    rests: dict[bytes, list[bytes]] = {}
    for name in names:
        rests.setdefault(name[:1], []).append(name[1:])
    branches = [
        _any_case(re.escape(letter)) + (_alternatives(rest) if letter else b"")
        for letter, rest in rests.items()
    ]
    return branches[0] if len(branches) == 1 else rb"(?:" + rb"|".join(branches) + rb")"


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
