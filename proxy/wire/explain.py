"""Why a head was refused: a slow, plain reading of the grammar, for what a scanner has refused."""

import re
from typing import Final

from proxy.wire.grammar import TARGET_RE, VALUE, is_token

_TARGET: Final = re.compile(TARGET_RE).fullmatch
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]").fullmatch
_STATUS: Final = re.compile(rb"[1-5][0-9][0-9]").fullmatch
_IMPOSSIBLE: Final = re.compile(rb"(?<!\r)\n|\r(?![\n]|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search

Fault = tuple[int, str]


def request(data: bytes, end: int, headers_max: int) -> Fault | None:
    """The status and the reason to refuse `data[:end]` with, or None when its grammar is good."""
    lines = data[:end].split(b"\r\n")[:-1]
    return _request_line(lines[0]) or _lines(lines[1:], headers_max)


def request_beginning(data: bytes) -> Fault | None:
    """The status and the reason to refuse `data` with, the beginning of a request head without its end."""
    if _IMPOSSIBLE(data):
        return 400, "bare CR or LF, or a control character"
    line, complete, _ = data.partition(b"\r\n")
    return _request_line(line) if complete else None


def response(data: bytes, end: int, headers_max: int) -> str | None:
    """The reason to refuse `data[:end]`, or None when its grammar is good."""
    lines = data[:end].split(b"\r\n")[:-1]
    fault = _status_line(lines[0]) or _lines(lines[1:], headers_max)
    return fault[1] if fault else None


def _request_line(line: bytes) -> Fault | None:
    if not line:
        return 400, "empty line before the request"
    words = line.split(b" ")
    if len(words) == 2 and words[0] == b"GET":
        return 400, "HTTP/0.9 is not spoken"
    if len(words) != 3:
        return 400, "request line is not method, target and version"
    method, target, version = words
    if not is_token(method):
        return 400, "invalid method"
    if not _VERSION(version):
        return 400, "invalid version"
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return 505, "unknown version"
    if not _TARGET(target):
        return 400, "fragment in the target" if b"#" in target else "invalid target"
    return None


def _status_line(line: bytes) -> Fault | None:
    version, _, rest = line.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return 400, "unknown version"
    status, _, phrase = rest.partition(b" ")
    if not _STATUS(status):
        return 400, "invalid status"
    if not all(VALUE[code] for code in phrase):
        return 400, "invalid reason phrase"
    return None


def _lines(lines: list[bytes], headers_max: int) -> Fault | None:
    if len(lines) > headers_max:
        return 431, f"more than {headers_max} header lines"
    for line in lines:
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            return 400, "folded header line"
        if not colon:
            return 400, "header line without a colon"
        if name.endswith((b" ", b"\t")):
            return 400, "space before the colon of a header"
        if not is_token(name):
            return 400, "invalid header name"
        if b"\n" in value or b"\r" in value:
            return 400, "bare CR or LF"
        if not all(VALUE[code] for code in value):
            return 400, "control character in a header value"
    return None
