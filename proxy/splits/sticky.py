"""The key of a request as a fraction, and ranges of fractions as arms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from xxhash import xxh3_64_intdigest

from proxy import plain
from proxy.counters import GROUPS
from proxy.keys import KeyReader, KeySpecError, parse_key

# Under a name of its own: compiled code looks an imported function up each time it is called.
digest_of: Final = xxh3_64_intdigest
# An exact power of two: scaling by it never rounds.
SCALE: Final = 5.421010862427522e-20
assert SCALE == 2.0**-64
# The low bits of a key's hash say which group it is counted in, the high ones where it goes: neither tells
# anything about the other (tests/proxy/splits/test_sticky.py).
GROUP_MASK: Final = GROUPS - 1


def seed_of(salt: str, epoch: int) -> int:
    """The seed of an experiment: another salt or epoch is another, independent shuffle of all keys."""
    return int(xxh3_64_intdigest(f"{salt}\0{epoch}".encode()))


def fraction_of(key: bytes, seed: int) -> float:
    """The place of a key in [0, 1], from all 64 bits of its seeded hash.

    The conversion rounds to the nearest double, so the very last keys of all give 1.0: the last range of a
    split therefore has no upper end.
    """
    return float(xxh3_64_intdigest(key, seed) * SCALE)


def read_seed(entry: Mapping[str, object], place: str) -> int:
    """The seed of a table entry, from its salt and epoch."""
    salt = plain.text(plain.required(entry, "salt", place), f"{place}.salt")
    return seed_of(salt, plain.integer(entry.get("epoch", 0), f"{place}.epoch"))


def read_keys(entry: Mapping[str, object], place: str) -> KeyReader:
    """The key reader of a table entry."""
    sources = []
    for index, spec in enumerate(plain.texts(plain.required(entry, "key", place), f"{place}.key")):
        try:
            sources.append(parse_key(spec))
        except KeySpecError as error:
            raise plain.PlainError(f"{place}.key[{index}]", f"{error}") from error
    if not sources:
        raise plain.PlainError(f"{place}.key", "must name at least one place")
    default = entry.get("default_key")
    if default is None:
        return KeyReader(sources)
    return KeyReader(sources, plain.text(default, f"{place}.default_key").encode("utf-8"))
