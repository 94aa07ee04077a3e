"""The hash tree of RFC 9162: appending at a flat cost, proofs, and how to check them."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from control.audit.canonical import leaf_hash

__all__ = ["EMPTY_ROOT", "HASH_BYTES", "Frontier", "leaf_hash"]

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
# RFC 9162, section 2.1.1: an inner node is hashed behind a one, a leaf behind a zero.
_NODE_PREFIX: Final = b"\x01"

Node = tuple[int, int]
"""Level and index of a perfect subtree: the leaves from index * 2^level, 2^level of them."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()


class Frontier:
    """The roots of the perfect subtrees that a tree of *size* leaves consists of, the largest first.

    All that appending needs: the 32 bytes times the number of ones in *size* that `stored` gives.
    """

    def __init__(self, size: int = 0, stored: bytes = b"") -> None:
        if len(stored) != HASH_BYTES * size.bit_count():
            raise ValueError(
                f"a tree of {size} leaves has {size.bit_count()} subtrees, not {len(stored)} bytes"
            )
        self.size = size
        self._hashes = [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)]

    @property
    def stored(self) -> bytes:
        """What to make the same frontier from."""
        return b"".join(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add the leaf with this hash."""
        self.append_subtree(0, leaf)

    def append_subtree(self, level: int, root: bytes) -> None:
        """Add 2^level leaves by the root of their subtree; the size must be a multiple of 2^level."""
        if self.size & ((1 << level) - 1):
            raise ValueError(f"a subtree of level {level} cannot follow {self.size} leaves")
        carried = self.size >> level
        while carried & 1:
            root = node_hash(self._hashes.pop(), root)
            carried >>= 1
        self._hashes.append(root)
        self.size += 1 << level

    def root(self) -> bytes:
        """The root of the whole tree."""
        return fold(self._hashes)


def fold(roots: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees that follow each other, each smaller than the one before."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of a tree with these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees, as ranges of leaves, whose roots prove leaf *index* of a tree (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    ranges, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[tuple[int, int]]:
    """The subtrees whose roots prove that *second* leaves begin with *first* (RFC 9162, 2.1.4.1)."""
    if not 0 < first <= second:
        raise ValueError(f"a tree of {second} has no consistency proof from {first}")
    ranges, start, end, whole = [], 0, second, True
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return ranges[::-1]


def perfect_nodes(start: int, end: int) -> list[Node]:
    """The perfect subtrees that the leaves from *start* to *end* consist of, the largest first."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def prove(ranges: Iterable[tuple[int, int]], node: Callable[[Node], bytes]) -> list[bytes]:
    """The proof made of the roots of *ranges*; *node* gives the hash of a perfect subtree."""
    return [fold([node(one) for one in perfect_nodes(start, end)]) for start, end in ranges]


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that *path* leads to from *leaf* (RFC 9162, 2.1.3.2); None when its length is wrong."""
    if not 0 <= index < size:
        return None
    position, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if position & 1 or position == last:
            root = node_hash(step, root)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            root = node_hash(root, step)
        position, last = position >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether *path* proves that the larger tree begins with the smaller one (RFC 9162, 2.1.4.2)."""
    if first == second:
        return not path and first_root == second_root
    if not 0 < first < second or not path:
        return False
    steps = list(path)
    if first & (first - 1) == 0:
        steps.insert(0, first_root)
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, step)
        position, last = position >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(size: int) -> int:
    """The largest power of two below *size*."""
    return 1 << ((size - 1).bit_length() - 1)
