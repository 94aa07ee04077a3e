"""Tiles above the leaves: each follows from those below, and none is missing where one must be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.audit.tiles import WIDTH, tile_of
from control.audit.upper_tiles import UpperTile, check_upper_tiles
from control.audit.verify import Verdict

# Two full tiles of level 1, and a log that is a little longer.
SIZE = 2 * WIDTH**2 + 700
ROOTS = [bytes([number % 251]) * 32 for number in range(2 * WIDTH)]


def _under(tile: UpperTile) -> bytes:
    return b"".join(ROOTS[tile.number * WIDTH : (tile.number + 1) * WIDTH])


def _tile(number: int) -> UpperTile:
    right = tile_of((1, number), b"".join(ROOTS[number * WIDTH : (number + 1) * WIDTH]))
    return UpperTile(level=1, number=number, root=right.root, hashes=right.hashes)


def _findings(*tiles: UpperTile) -> list[str]:
    verdict = Verdict()
    check_upper_tiles(verdict, SIZE, tiles, _under)
    return [finding.text for finding in verdict.findings]


def test_right_tiles_are_passed() -> None:
    """All that must be there, and no more."""
    assert _findings(_tile(0), _tile(1)) == []


@pytest.mark.parametrize("what", ["hashes", "root"])
def test_a_changed_tile_is_named(what: str) -> None:
    """Its hashes, or only the root over them."""
    wrong = replace(_tile(1), **{what: getattr(_tile(0), what)})

    assert _findings(_tile(0), wrong) == ["tile 1 of level 1 does not follow from those below it"]


def test_missing_and_surplus_tiles_are_named() -> None:
    """Wherever they are."""
    assert _findings() == ["tile 0 of level 1 is missing", "tile 1 of level 1 is missing"]
    assert _findings(_tile(1)) == ["tile 0 of level 1 is missing"]
    assert _findings(_tile(0), _tile(1), replace(_tile(0), number=2)) == [
        "tile 2 of level 1 is of no use to 131772 events"
    ]
