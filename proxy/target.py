"""The request target: its authority, and the one spelling of its path that routes are matched on."""

from __future__ import annotations

import re
from typing import Final

from mypy_extensions import i64

from proxy.wire.grammar import COMPILED

SLASH: Final = 0x2F
HEX: Final = b"0123456789abcdefABCDEF"
# The same as `plain_path_end`, for where that is not compiled.
PLAIN_PATH: Final = re.compile(rb"(?>(?:/(?![/.])[^%\\/?#\x80-\xff]*+)+)(?=[?#]|\Z)").match
# By character: 0 is itself anywhere, 1 (slash and dot) unless behind a slash, 2 ends the path, 3 takes work.
PATH_CLASSES: Final[bytes] = bytes(
    [1 if c in b"/." else 2 if c in b"?#" else 3 if c in b"%\\" or c > 127 else 0 for c in range(256)]
)
UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Return (authority, path and query); the authority is empty unless the target is absolute.

    `http://a.example:80/x?y` gives `(b"a.example:80", b"/x?y")`, `/x?y` gives `(b"", b"/x?y")`.
    User information before the host is dropped; a missing path is `/` (RFC 9112, 3.2.2).
    """
    if target[:1] == b"/":
        return b"", target
    scheme = target.find(b"://")
    if scheme <= 0 or not target[:scheme].isalpha():
        return b"", target
    start = scheme + 3
    stop = len(target)
    for mark in (b"/", b"?", b"#"):
        at = target.find(mark, start, stop)
        if at >= 0:
            stop = at
    authority = target[start:stop]
    rest = target[stop:]
    if rest[:1] != b"/":
        rest = b"/" + rest
    return authority[authority.rfind(b"@") + 1 :], rest


def path_of(target: bytes) -> bytes:
    """The path as sent, without query or fragment."""
    if target[:1] != b"/":
        target = split_target(target)[1]
    at = target.find(b"?")
    if at >= 0:
        target = target[:at]
    at = target.find(b"#")
    return target if at < 0 else target[:at]


def query_of(target: bytes) -> bytes:
    """The query as sent, without its question mark; empty when there is none."""
    at = target.find(b"?")
    if at < 0:
        return b""
    query = target[at + 1 :]
    at = query.find(b"#")
    return query if at < 0 else query[:at]


def routing_path(target: bytes) -> bytes | None:
    """The path in the spelling that routes are matched on, or None when it has no single meaning.

    Servers disagree about `/a/../b`, `/a%2fb`, `/a//b` and `\\`. If the proxy took such a path literally
    while the upstream resolved it, a client could leave the prefix its route was meant for. Therefore:

    - escapes of unreserved characters are decoded once, the others get upper-case digits (RFC 3986, 6.2.2);
    - dot segments are removed (RFC 3986, 5.2.4) and runs of slashes count as one;
    - a path whose dot segments could be resolved in two ways (beside an encoded slash, a backslash, an empty
      segment or a path parameter as in `..;`) is None: it matches no route that looks at the path.

    What is sent upstream is the target as it came: only the choice of the route looks at this spelling.
    """
    if COMPILED:
        end = plain_path_end(target)
        if end >= 0:
            return target[:end]
    else:
        plain = PLAIN_PATH(target)
        if plain is not None:
            return plain[0]
    return normal_path(path_of(target))


def plain_path_end(target: bytes) -> i64:
    """Where the path ends that a target begins with; -1 when it takes work to know its one spelling.

    benchmarks/load, W1 compiled: a tenth of a request's cost less than searching for each of these marks.
    """
    size: i64 = len(target)
    if size == 0 or target[0] != 47:
        return -1
    classes = PATH_CLASSES
    slash = True
    i: i64 = 1
    while i < size:
        c: i64 = classes[target[i]]
        if c == 0:
            slash = False
        elif c == 1:
            if slash:
                return -1
            slash = target[i] == 47
        elif c == 2:
            return i
        else:
            return -1
        i += 1
    return size


def normal_path(path: bytes) -> bytes | None:
    """`routing_path` of a path that needs work; also how the paths of routes are spelled."""
    path = _decode_unreserved(path)
    if path[:1] != b"/":
        # `*` and the authority of a CONNECT are no paths.
        return path
    slashed = path.replace(b"%2F", b"/").replace(b"%5C", b"/").replace(b"\\", b"/").replace(b"%3B", b";")
    dots = False
    parameters = False
    for segment in slashed.split(b"/"):
        stem = segment.partition(b";")[0]
        if stem == b"." or stem == b"..":
            dots = True
            parameters = parameters or stem != segment
    if dots:
        if parameters or slashed != path or b"//" in path:
            return None
        path = _remove_dot_segments(path)
    while b"//" in path:
        path = path.replace(b"//", b"/")
    return path


def percent_decode(value: bytes) -> bytes:
    """Decode every valid %XX once; an invalid one stays as it is."""
    if b"%" not in value:
        return value
    first, *rest = value.split(b"%")
    parts = [first]
    for part in rest:
        if len(part) >= 2 and part[0] in HEX and part[1] in HEX:
            parts.append(bytes((int(part[:2], 16),)) + part[2:])
        else:
            parts.append(b"%" + part)
    return b"".join(parts)


def _decode_unreserved(path: bytes) -> bytes:
    first, *rest = path.split(b"%")
    parts = [_escape_high(first)]
    for part in rest:
        if len(part) >= 2 and part[0] in HEX and part[1] in HEX:
            octet = int(part[:2], 16)
            parts.append(bytes((octet,)) if octet in UNRESERVED else b"%" + part[:2].upper())
            parts.append(_escape_high(part[2:]))
        else:
            parts.append(b"%" + _escape_high(part))
    return b"".join(parts)


def _escape_high(part: bytes) -> bytes:
    if part.isascii():
        return part
    return b"".join([bytes((octet,)) if octet < 0x80 else b"%%%02X" % octet for octet in part])


def _remove_dot_segments(path: bytes) -> bytes:
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] == b"." or segments[-1] == b"..":
        kept.append(b"")
    return b"/" + b"/".join(kept)
