"""Signed request ids: each names the arm that served the request, so that outcomes can be reported later.

A token is 36 characters of URL-safe base64 over 27 bytes: which arm (6, a hash of its names), when (4, Unix
seconds), a number that no other request has (8), and the first 9 bytes of a keyed BLAKE2b over these. Whoever
has the key can tell a token of ours from any other text and needs no table of requests to attribute it. The
key lies in the state directory, readable by its owner only.

What hashes is imported where it is used: most workers sign nothing, and it takes half a megabyte of each.
"""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashlib import blake2b
    from pathlib import Path

KEY_BYTES: Final = 32
TOKEN_CHARACTERS: Final = 36
# The field of a request that came with an id of its own.
TOKEN_PREFIX: Final = b"x-headgate-feedback: "
_ARM: Final = 6
_SIGNED: Final = 18
_MAC: Final = 9
_PERSON: Final = b"headgate-id"


def arm_id(route: str, variant: str, role: str, stage: str) -> bytes:
    """Six bytes that stand for an arm; among a thousand two are the same once in half a billion times."""
    names = "\0".join((route, variant, role, stage)).encode()
    from hashlib import blake2b

    return blake2b(names, digest_size=_ARM, person=b"headgate-arm").digest()


class Token:
    """A token that is ours: the arm it names, when it was made (Unix seconds), and its unique signature."""

    __slots__ = ("arm", "at", "mac")

    def __init__(self, arm: bytes, at: int, mac: bytes) -> None:
        self.arm = arm
        self.at = at
        self.mac = mac


class Signer:
    """Makes the tokens of one arm in one worker."""

    __slots__ = ("_arm", "_count", "_keyed", "_start")

    def __init__(self, key: bytes, arm: bytes) -> None:
        self._keyed = _keyed(key)
        self._arm = arm
        # 4 random bytes for each start of each arm, then a counter: with the time in it, no two are the same.
        self._start = os.urandom(4)
        self._count = 0

    def line(self, prefix: bytes) -> bytes:
        """Return a header field that begins with `prefix` (name, colon, space) and holds a new token."""
        self._count += 1
        head = (
            self._arm
            + int(time.time()).to_bytes(4, "big")
            + self._start
            + (self._count & 0xFFFFFFFF).to_bytes(4, "big")
        )
        hashed = self._keyed.copy()
        hashed.update(head)
        return prefix + urlsafe_b64encode(head + hashed.digest()) + b"\r\n"


def read_token(key: bytes, text: str) -> Token | None:
    """The token in a text; None when it is not one that was made with this key."""
    if len(text) != TOKEN_CHARACTERS:
        return None
    try:
        data = urlsafe_b64decode(text)
    except ValueError:
        return None
    from hmac import compare_digest

    head, mac = data[:_SIGNED], data[_SIGNED:]
    hashed = _keyed(key)
    hashed.update(head)
    # The second condition: base64 has several ways to write some bytes, and duplicates are told by these.
    if not compare_digest(mac, hashed.digest()) or urlsafe_b64encode(data).decode() != text:
        return None
    return Token(head[:_ARM], int.from_bytes(head[_ARM : _ARM + 4], "big"), mac)


def load_key(path: Path) -> bytes:
    """The key in a file, which is made, for its owner only, when it is not there.

    Raises:
        OSError: it can neither be read nor made.
        ValueError: what is there is no key.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, os.urandom(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            # Of two who make one at the same time the first wins, and both read what is there then.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path}: {len(key)} bytes are no key; remove the file, and a new one is made")
    return key


def _keyed(key: bytes) -> blake2b:
    """The hash of nothing yet, with what is hashed before anything else: a copy of it takes no import."""
    from hashlib import blake2b

    return blake2b(digest_size=_MAC, key=key, person=_PERSON)
