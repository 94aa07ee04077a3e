"""Identifiers that sort by the time they were made and never collide."""

import os
import threading
import time

# Crockford's base 32 in lower case: no i, l, o, u, so that an identifier survives being read aloud.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_LENGTH = 26

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """An identifier such as ``d-01j…``: 48 bits of Unix milliseconds, then 80 random bits, in base 32.

    Two made in one process always sort in the order they were made: within one millisecond, and after the
    clock was set back, the next one is its predecessor plus a random amount.
    """
    global _last
    with _lock:
        value = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | int.from_bytes(os.urandom(_RANDOM_BITS // 8))
        if value <= _last:
            value = _last + 1 + int.from_bytes(os.urandom(4))
        _last = value
    return f"{prefix}-{_base32(value)}"


def _base32(value: int) -> str:
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
