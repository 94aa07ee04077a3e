"""Verifies the tiles above the leaves: proofs read them, and each has to follow from those below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from control.audit.tiles import WIDTH, root_of_hashes
from control.audit.verify import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperTile:
    """256 roots of tiles of the level below, as they were found."""

    level: int
    number: int
    root: bytes
    hashes: bytes


def check_upper_tiles(
    verdict: Verdict, size: int, tiles: Iterable[UpperTile], roots_under: Callable[[UpperTile], bytes]
) -> None:
    """Compare each tile above the leaves of *size* events with the roots of the 256 tiles below it.

    *tiles* come sorted by level and number; a tile that is missing where one must be is named as well.
    """
    wanted = iter(_upper_places(size))
    for tile in tiles:
        here = (tile.level, tile.number)
        place = next(wanted, None)
        while place is not None and place < here:
            verdict.add("tile", f"tile {place[1]} of level {place[0]} is missing")
            place = next(wanted, None)
        if place != here:
            verdict.add("tile", f"tile {tile.number} of level {tile.level} is of no use to {size} events")
        elif tile.hashes != roots_under(tile) or root_of_hashes(tile.hashes) != tile.root:
            verdict.add(
                "tile", f"tile {tile.number} of level {tile.level} does not follow from those below it"
            )
    for level, number in wanted:
        verdict.add("tile", f"tile {number} of level {level} is missing")


def _upper_places(size: int) -> Iterator[tuple[int, int]]:
    level = 1
    while count := size // WIDTH ** (level + 1):
        yield from ((level, number) for number in range(count))
        level += 1
