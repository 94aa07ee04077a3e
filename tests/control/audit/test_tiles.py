"""Every proof can be made from a few tiles."""

from __future__ import annotations

import pytest

from control.audit.canonical import leaf_hash
from control.audit.merkle import (
    Frontier,
    consistency_ranges,
    inclusion_ranges,
    is_consistent,
    prove,
    root_by_inclusion,
    root_of,
)
from control.audit.tiles import WIDTH, Place, filled, node_of, place_of, places, tile_of

SIZE = WIDTH * WIDTH + 700
LEAVES = [leaf_hash(b"%d" % number) for number in range(SIZE)]


def tiles() -> dict[Place, bytes]:
    """All tiles of the tree, those that are not full included."""
    rows = [LEAVES]
    found: dict[Place, bytes] = {}
    while rows[-1]:
        level, hashes = len(rows) - 1, rows[-1]
        above = []
        for number in range(0, -(-len(hashes) // WIDTH)):
            row = b"".join(hashes[number * WIDTH : (number + 1) * WIDTH])
            found[level, number] = row
            if len(row) == WIDTH * 32:
                above.append(tile_of((level, number), row).root)
        rows.append(above)
    return found


def test_proofs_are_made_from_a_few_tiles() -> None:
    """A tree of 66 236 leaves: no proof looks at more than six tiles."""
    frontier = Frontier()
    for leaf in LEAVES:
        frontier.append(leaf)
    known = tiles()
    for index in (0, 255, 256, 65_535, 65_536, 66_100, SIZE - 1):
        ranges = inclusion_ranges(index, SIZE)
        assert len(places(ranges)) <= 6
        path = prove(ranges, lambda one: node_of(known, one))
        assert root_by_inclusion(LEAVES[index], index, SIZE, path) == frontier.root()
    for first in (1, 256, 40_000, 65_536, SIZE - 1):
        path = prove(consistency_ranges(first, SIZE), lambda one: node_of(known, one))
        assert is_consistent(first, SIZE, root_of(LEAVES[:first]), frontier.root(), path)


def test_a_node_that_is_not_complete_has_no_hash() -> None:
    """Nothing is made up for leaves that are not there yet."""
    assert place_of((8, 3)) == (1, 0)
    with pytest.raises(ValueError, match="not complete"):
        node_of(tiles(), (7, (SIZE - 1) >> 7))
    with pytest.raises(ValueError, match="not 8192"):
        tile_of((0, 0), b"")


def test_tiles_fill_up_from_below() -> None:
    """A tile is written after those whose roots it holds."""
    assert filled(0, 255) == []
    assert filled(250, 520) == [(0, 0), (0, 1)]
    assert filled(65_535, 65_536) == [(0, 255), (1, 0)]
    assert filled(65_536, 65_537) == []
