"""One byte string for one value, and the hash under which a log of such strings knows it."""

import hashlib
from typing import Final

import orjson

# RFC 9162, section 2.1.1: a leaf is hashed behind a zero byte, so that it can never pass for an inner node.
_LEAF_PREFIX: Final = b"\x00"


def canonical(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no blanks; floats in their shortest form that reads back the same.

    Raises:
        TypeError: *value* holds something that is not plain JSON, or a number beyond 64 bits.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: object) -> str:
    """``sha256:<hex>`` of the canonical form of *value*."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def leaf_hash(body: bytes) -> bytes:
    """The 32-byte leaf hash of RFC 9162 for an event's stored bytes."""
    return hashlib.sha256(_LEAF_PREFIX + body).digest()
