"""The alphabet of HTTP/1.1 (RFC 9110, RFC 9112): character tables, expressions and names a proxy knows."""

import re
from typing import Final

# True when mypyc has compiled this package: a compiled module is loaded from a shared object.
COMPILED: Final = not __file__.endswith(".py")

_TCHAR: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _table(members: bytes) -> bytes:
    return bytes(1 if code in members else 0 for code in range(256))


# One byte for each character code: 1 where the class holds it.
TOKEN: Final = _table(_TCHAR)
VALUE: Final = _table(bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)]))
# A fragment never belongs into a request target (RFC 9112, 3.2), so "#" is left out.
TARGET: Final = _table(bytes(code for code in range(0x21, 0x7F) if code != 0x23))

# Possessive throughout: each character is looked at once, whatever the input.
TOKEN_RE: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
VALUE_RE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
TARGET_RE: Final = rb"[!\x22\x24-\x7e]++"
# Atomic groups, not possessive ones: Python before 3.11.5 takes a possessive group that fails in its middle
# for a match.
FIELD_LINES_RE: Final = rb"(?>(?:" + TOKEN_RE + rb":" + VALUE_RE + rb"\r\n)*)"

# Names with underscores, percent signs and sub-delimiters are allowed; user information and lists are not.
HOST_RE: Final = (
    rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]++|\[[0-9A-Fa-f:.]{2,45}\]|\[v[0-9A-Fa-f]++\.[A-Za-z0-9._~!$&'()*+;=:-]++\])"
    rb"(?::([0-9]{0,5}+))?"
)
_HOST_MATCH: Final = re.compile(HOST_RE).fullmatch

# What a field means to a proxy. 0 is every other field, which passes as the bytes it was.
HOST: Final = 1
CONTENT_LENGTH: Final = 2
TRANSFER_ENCODING: Final = 3
CONNECTION: Final = 4
HOP: Final = 5
UPGRADE: Final = 6
EXPECT: Final = 7
REQUEST_ID: Final = 8
DROP: Final = 9
FORWARDED_PROTO: Final = 10
FORWARDED_HOST: Final = 11
NOTED: Final = 12
MARKED: Final = 13

SHARED_KINDS: Final[dict[bytes, int]] = {
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"keep-alive": HOP,
    b"proxy-connection": HOP,
    b"proxy-authenticate": HOP,
    b"proxy-authorization": HOP,
    b"te": HOP,
    b"http2-settings": HOP,
    b"upgrade": UPGRADE,
}

# Framing and routing hang on these, so a peer cannot ask for their removal.
NEVER_NOMINATED: Final = frozenset((b"content-length", b"transfer-encoding", b"host"))


# In a cell of `name_filter`: several known names have this letter and length, so look into the dictionary.
SEVERAL: Final = 255


def name_filter(names: list[bytes]) -> bytes:
    """2048 cells: what is known by first letter (`& 31`) and length (63 and more are one).

    0 where no name is, 1 + its number where one is, SEVERAL otherwise.
    """
    cells = bytearray(32 * 64)
    for number, name in enumerate(names):
        cell = ((name[0] & 31) << 6) | min(len(name), 63)
        alone = not cells[cell] and len(name) < 63 and number < SEVERAL - 1
        cells[cell] = number + 1 if alone else SEVERAL
    return bytes(cells)


def name_expression(kinds: dict[bytes, int]) -> re.Pattern[bytes]:
    """An expression that finds name and value of each known field in a valid lower-case head."""
    by_letter: dict[bytes, list[bytes]] = {}
    for name in sorted(kinds):
        by_letter.setdefault(name[:1], []).append(re.escape(name[1:]))
    branches = [re.escape(letter) + b"(?:" + b"|".join(rest) + b")" for letter, rest in by_letter.items()]
    return re.compile(rb"\n(" + b"|".join(branches) + rb"): *+([^\r]*+)")


def valid_host(value: bytes) -> bool:
    """Whether `value` is a host with an optional port of at most 65535."""
    match = _HOST_MATCH(value)
    if match is None:
        return False
    port = match[1]
    return not port or int(port) <= 65535


def is_token(value: bytes) -> bool:
    """Whether `value` is a non-empty token (RFC 9110, 5.6.2)."""
    if not value:
        return False
    return all(TOKEN[code] for code in value)
