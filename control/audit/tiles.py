"""The tree cut into tiles of 256 hashes, so that a proof reads a few rows and appending writes few."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from control.audit.merkle import HASH_BYTES, Node, node_hash, perfect_nodes

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT

Place = tuple[int, int]
"""Level and index of a tile. The hashes of tile (t, i) are the nodes of level 8t from index 256 i."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A full tile: 256 hashes of 32 bytes, and the root over them."""

    level: int
    index: int
    root: bytes
    hashes: bytes


def place_of(node: Node) -> Place:
    """The tile that *node* is computed from."""
    level, index = node
    return level // HEIGHT, (index << level % HEIGHT) >> HEIGHT


def places(ranges: Iterable[tuple[int, int]]) -> set[Place]:
    """The tiles that the roots of these ranges of leaves are computed from."""
    return {place_of(node) for start, end in ranges for node in perfect_nodes(start, end)}


def node_of(tiles: Mapping[Place, bytes], node: Node) -> bytes:
    """The hash of *node*; *tiles* holds the hashes of its tile, as far as they exist."""
    level, index = node
    hashes = tiles[place_of(node)]
    within = level % HEIGHT
    first = (index << within) % WIDTH
    row = hashes[first * HASH_BYTES : (first + (1 << within)) * HASH_BYTES]
    if len(row) != HASH_BYTES << within:
        raise ValueError(f"node {index} of level {level} is not complete")
    return root_of_hashes(row)


def root_of_hashes(row: bytes) -> bytes:
    """The root over a power of two of hashes, as bytes that follow each other."""
    hashes = [row[at : at + HASH_BYTES] for at in range(0, len(row), HASH_BYTES)]
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def filled(before: int, after: int) -> list[Place]:
    """The tiles that fill up when a tree grows from *before* to *after* leaves, from below."""
    found: list[Place] = []
    level = 0
    while after >> HEIGHT * (level + 1):
        width = HEIGHT * (level + 1)
        found += [(level, index) for index in range(before >> width, after >> width)]
        level += 1
    return found


def tile_of(place: Place, hashes: bytes) -> Tile:
    """The full tile with these 256 hashes."""
    if len(hashes) != WIDTH * HASH_BYTES:
        raise ValueError(f"tile {place} has {len(hashes)} bytes, not {WIDTH * HASH_BYTES}")
    return Tile(level=place[0], index=place[1], root=root_of_hashes(hashes), hashes=hashes)
