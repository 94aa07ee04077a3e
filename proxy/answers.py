"""Answers in Headgate's own name: small JSON bodies, marked so that nobody takes them for a model's."""

from functools import lru_cache
from http import HTTPStatus
from typing import Final

# Statuses that say "not now"; clients and load balancers look for Retry-After (RFC 9110, section 10.2.3).
RETRY_LATER: Final = frozenset({429, 503})
RETRY_AFTER_SECONDS: Final = 1


def reason_phrase(status: int) -> str:
    """Return the standard phrase of a status, or a neutral one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


# Statuses times reasons of the head scan, all of them constants of this program.
@lru_cache(maxsize=512)
def answer(status: int, code: str, message: str, *, close: bool, head_only: bool) -> bytes:
    """Return a complete response with the body ``{"error": {"code": ..., "message": ...}}``.

    ``close`` announces the end of the connection, ``head_only`` leaves the body out (RFC 9110, 9.3.2).
    """
    body = f'{{"error":{{"code":"{code}","message":"{escape(message)}"}}}}\n'.encode()
    lines = [
        f"HTTP/1.1 {status} {reason_phrase(status)}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        # Tells an operator and a test that no model server wrote this.
        f"x-headgate-error: {code}",
    ]
    if status in RETRY_LATER:
        lines.append(f"retry-after: {RETRY_AFTER_SECONDS}")
    if close:
        lines.append("connection: close")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head if head_only else head + body


def escape(text: str) -> str:
    """Return text fit to stand in a JSON string."""
    return "".join(f"\\u{ord(c):04x}" if c in '"\\' or not 0x20 <= ord(c) < 0x7F else c for c in text)


CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
