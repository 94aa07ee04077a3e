"""One pass over a head by possessive regular expressions: the quickest form where nothing is compiled."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from proxy.wire.fields import OWS, Fields
from proxy.wire.grammar import (
    CONTENT_LENGTH,
    FIELD_LINES_RE,
    HOST,
    TARGET_RE,
    TOKEN,
    TOKEN_RE,
    VALUE_RE,
)
from proxy.wire.shapes import Shapes

if TYPE_CHECKING:
    from proxy.wire.head import RequestHead, ResponseHead

_REQUEST: Final = re.compile(
    rb"(" + TOKEN_RE + rb") (" + TARGET_RE + rb") HTTP/1\.([01])\r\n" + FIELD_LINES_RE
).fullmatch
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE_RE + rb")?\r\n()" + FIELD_LINES_RE
).fullmatch
# The start line of nearly all requests: whatever else there is, `request` takes.
_PLAIN_LINE: Final = rb"(GET|POST) (/" + TARGET_RE.removesuffix(b"++") + rb"*+) HTTP/1\.1\r\n"
# Nor has a response, unless it is an informational one or says that it has no content.
_PLAIN_STATUS: Final = rb"HTTP/1\.1 ([2-5](?!04)[0-9][0-9])(?: " + VALUE_RE + rb")?\r\n"
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}+").fullmatch


# What the expressions for plain heads find, in the order of their groups.
_REQUEST_GROUPS: Final = (1, 2, 3, 4, 5, 6)
_RESPONSE_GROUPS: Final = (1, 2, 3)
# What follows the names of lines whose values matter.
_VALUE: Final = rb": *+(" + VALUE_RE + rb")\r\n"
_LENGTH: Final = rb": *+([0-9]{1,18}+) *+\r\n"

Match: TypeAlias = Callable[[bytes, int, int], "re.Match[bytes] | None"]

# Making an expression takes milliseconds, and the next table of a worker seldom needs another one.
_EXPRESSIONS_MAX: Final = 16


def plain_expression(kinds: dict[bytes, int], noted: bytes) -> Match:
    """An expression that matches a whole head if it asks nothing special of a proxy, and finds what matters.

    Groups: method, target, Host, Content-Length, a line `Connection: keep-alive`, the field `noted`. Heads
    with another known field, or with one of these twice, are not matched: `request` judges them.
    """
    return _request_expression(frozenset(kinds), noted)


@lru_cache(_EXPRESSIONS_MAX)
def _request_expression(names: frozenset[bytes], noted: bytes) -> Match:
    lines = [
        _unknown_letter(names),
        _any_case(b"host") + rb"(?(3)(?!))" + _VALUE,
        _any_case(b"content-length") + rb"(?(4)(?!))" + _LENGTH,
        rb"((?(5)(?!))" + _any_case(b"connection") + rb": " + _any_case(b"keep-alive") + rb"\r\n)",
    ]
    absent = rb""
    if noted:
        lines.append(_any_case(re.escape(noted)) + rb"(?(6)(?!))" + _VALUE)
    else:
        absent = rb"(?:(?!)())?"
    lines += _unknown_rest(names)
    return re.compile(_PLAIN_LINE + rb"(?>(?:" + rb"|".join(lines) + rb")*)" + absent).fullmatch


def request_shapes(noted: bytes) -> Shapes:
    """What learns the shapes of heads that `plain_expression` matches, with the same groups."""
    finds = [(b"host", _VALUE), (b"content-length", _LENGTH), (b"connection", b""), (noted, _VALUE)]
    return Shapes(_PLAIN_LINE, finds)


def _matched(
    head: RequestHead | ResponseHead, data: bytes, end: int, groups: tuple[int, ...]
) -> tuple[re.Match[bytes] | None, tuple[int, ...]]:
    """Match a plain head by its shape or in general, when ``groups`` are the numbers of what is found."""
    shapes = head.shapes
    for shape in shapes.known:
        match = shape.match(data, 0, end)
        if match is not None:
            if shape is not shapes.known[0]:
                shapes.found(shape)
            return match, shape.groups
    match = head.plain(data, 0, end)
    if match is not None:
        shapes.miss(data[data.index(b"\n") + 1 : end])
    return match, groups


def plain_request(head: RequestHead, data: bytes, end: int, headers_max: int) -> bool:
    """Read a head that `plain_expression` matches; False if `request` has to judge, after a reset.

    benchmarks/micro/bench_wire.py: less time than `request`, which needs a lower-case copy and a second
    search, and half of it for a head of a known shape.
    """
    match, groups = _matched(head, data, end, _REQUEST_GROUPS)
    if match is None:
        return False
    method, target, host, length, kept, noted = match.group(*groups)
    if host is None or (end > headers_max * 4 and _too_many(data, end, headers_max)):
        return False
    if not head.unmixed:
        # Otherwise the head before was read here, and what it said is all written over.
        head.reset()
        head.keep_alive = head.ordinary = head.unmixed = True
        head.is_head = False
        head.lowered = b""
    if host == head.host_line:
        head.host = head.host_value
    else:
        head.host = b""
        if not head.hosted(host):
            return False
    head.method = method
    head.target = target
    head.line_end = len(method) + len(target) + 12
    head.content_length = -1 if length is None else int(length)
    head.noted_value = None if noted is None else noted.strip(OWS)
    if kept is not None:
        head.cuts = list(match.span(groups[4]))
    elif head.cuts:
        head.cuts = []
    return True


def plain_response_expression(kinds: dict[bytes, int]) -> Match:
    """As `plain_expression`; groups: status, Content-Length, a line `Connection: keep-alive`."""
    return _response_expression(frozenset(kinds))


@lru_cache(_EXPRESSIONS_MAX)
def _response_expression(names: frozenset[bytes]) -> Match:
    lines = [
        _unknown_letter(names),
        _any_case(b"content-length") + rb"(?(2)(?!))" + _LENGTH,
        rb"((?(3)(?!))" + _any_case(b"connection") + rb": " + _any_case(b"keep-alive") + rb"\r\n)",
        *_unknown_rest(names),
    ]
    return re.compile(_PLAIN_STATUS + rb"(?>(?:" + rb"|".join(lines) + rb")*)").fullmatch


def response_shapes() -> Shapes:
    """As `request_shapes`."""
    return Shapes(_PLAIN_STATUS, [(b"content-length", _LENGTH), (b"connection", b"")])


def plain_response(head: ResponseHead, data: bytes, end: int, headers_max: int) -> bool:
    """Read a head that `plain_response_expression` matches; False, and nothing changed, for `response`."""
    match, groups = _matched(head, data, end, _RESPONSE_GROUPS)
    if match is None:
        return False
    if end > headers_max * 4 and _too_many(data, end, headers_max):
        return False
    status, length, kept = match.group(*groups)
    if not head.unmixed:
        head.reset()
        head.keep_alive = head.unmixed = True
        head.lowered = b""
    head.status = int(status)
    head.line_end = data.find(b"\n") + 1
    head.content_length = -1 if length is None else int(length)
    if kept is not None:
        head.cuts = list(match.span(groups[2]))
    elif head.cuts:
        head.cuts = []
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
    if minor == b"0":
        fields.minor = 0
    fields.line_end = len(method) + len(target) + 12
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


# An alternative that begins with a letter or a class is passed over at a glance where another letter comes;
# one that begins with a look ahead is tried: 5 000 of 33 000 instructions for a head of ten lines.
_REST: Final = TOKEN_RE.removesuffix(b"++") + rb"*+:" + VALUE_RE + rb"\r\n"


def _unknown_letter(known_names: frozenset[bytes]) -> bytes:
    """An expression for a line whose name begins with a letter that no known name begins with: most do."""
    known = {letter for name in known_names for letter in (name[:1] + name[:1].upper())}
    letters = bytes(code for code in range(256) if TOKEN[code] and code not in known)
    return rb"[" + re.escape(letters) + rb"]" + _REST


def _unknown_rest(names: frozenset[bytes]) -> list[bytes]:
    """For each other letter an expression for a line whose name is none of the known ones."""
    rests: dict[bytes, list[bytes]] = {}
    for name in sorted(names):
        rests.setdefault(name[:1], []).append(name[1:])
    return [
        rb"[" + re.escape(letter + letter.upper()) + rb"](?!" + _alternatives(rest) + rb":)" + _REST
        for letter, rest in rests.items()
    ]


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
