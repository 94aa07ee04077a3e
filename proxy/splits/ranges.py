"""How [0, 1) is divided among arms, and how little of it changes hands when the shares change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy import plain
from proxy.arms import Arm

# Above every fraction: the last range has no upper end, so rounding can leave no key without an arm.
TOP: Final = 2.0
# Each change of shares adds a few pieces; past this many the layout starts afresh.
PIECES_MAX: Final = 256
# Shares are decimal fractions; a sliver smaller than this is rounding, not a share.
SLIVER: Final = 1e-12
# As many slivers as there can be pieces: shares that differ by less are the same.
SAME: Final = 1e-9


class Ranges:
    """Neighbouring ranges of [0, 1): `uppers[i]` is where range i ends, `indexes[i]` whose it is."""

    __slots__ = ("indexes", "uppers")

    def __init__(self, uppers: list[float], indexes: list[int]) -> None:
        self.uppers = uppers
        self.indexes = indexes

    def owners(self, arms: list[Arm]) -> list[Arm]:
        """The arms of the ranges."""
        return [arms[index] for index in self.indexes]

    def to_json(self) -> list[list[float]]:
        """Pairs of upper end and owner."""
        return [[min(upper, 1.0), index] for upper, index in zip(self.uppers, self.indexes, strict=True)]

    def pieces(self) -> list[tuple[float, float, int]]:
        """(start, end, owner) in rising order, the last end being 1."""
        starts = [0.0, *self.uppers[:-1]]
        return [
            (start, min(upper, 1.0), index)
            for start, upper, index in zip(starts, self.uppers, self.indexes, strict=True)
        ]

    def shares(self, count: int) -> list[float]:
        """How much each of `count` arms owns."""
        shares = [0.0] * count
        for start, end, index in self.pieces():
            shares[index] += end - start
        return shares


def ranges_of(weights: Sequence[float]) -> Ranges:
    """One range for each weight above 0, in their order."""
    pieces: list[tuple[float, float, int]] = []
    start = 0.0
    for index, weight in enumerate(weights):
        pieces.append((start, start + weight, index))
        start += weight
    return _join(pieces)


def centred(weights: Sequence[float]) -> Ranges:
    """The layout of a split that has no past: the first owns the middle, the others grow from the ends.

    The second variant grows from 0 upwards, the third from 1 downwards; so with up to three variants no other
    key moves, whatever the first gives to them or takes back. Further ones follow beside the second.
    """
    order = [*range(1, len(weights)), 0]
    if len(weights) > 2:
        order.remove(2)
        order.append(2)
    pieces: list[tuple[float, float, int]] = []
    start = 0.0
    for index in order:
        pieces.append((start, start + weights[index], index))
        start += weights[index]
    return _join(pieces)


def moved(before: Ranges, weights: Sequence[float]) -> Ranges:
    """The ranges after a change of shares in which only the least possible part changes hands.

    Whoever shrinks gives up its topmost pieces, whoever grows takes them; nobody else is touched. That no
    rule without a memory can do this: with A, B and C at (1/2, 1/2, 0), (1/2, 0, 1/2) and (0, 1/2, 1/2), each
    two of these can share half of the keys, but no assignment for all three does.
    """
    count = len(weights)
    surplus = [share - weight for share, weight in zip(before.shares(count), weights, strict=True)]
    if all(abs(part) <= SAME for part in surplus):
        return before
    kept: list[tuple[float, float, int]] = []
    free: list[tuple[float, float]] = []
    for start, end, index in reversed(before.pieces()):
        give = min(max(surplus[index], 0.0), end - start)
        if give <= SLIVER:
            kept.append((start, end, index))
            continue
        surplus[index] -= give
        free.append((end - give, end))
        if end - give - start > SLIVER:
            kept.append((start, end - give, index))
    free.reverse()
    for start, end in free:
        while end - start > SLIVER:
            index = min(range(count), key=surplus.__getitem__)
            take = min(-surplus[index], end - start)
            if take <= SLIVER:
                break
            kept.append((start, start + take, index))
            surplus[index] += take
            start += take
    return _join(sorted(kept))


def succeed(
    before: Sequence[str], pieces: object, names: Sequence[str], weights: Sequence[float]
) -> Ranges | None:
    """`moved`, by name: the ranges that follow those of an earlier table.

    Args:
        before: names of the earlier variants; some may be gone, others new.
        pieces: the earlier ranges in their plain form.
        names, weights: the variants now.

    Returns:
        None when the earlier ranges cannot be read or are in too many pieces to go on with.
    """
    gone = [name for name in before if name not in names]
    numbers = {name: index for index, name in enumerate([*names, *gone])}
    try:
        ranges = read_ranges(pieces, len(before), "ranges")
    except plain.PlainError:
        return None
    ranges = Ranges(ranges.uppers, [numbers[before[index]] for index in ranges.indexes])
    following = moved(ranges, [*weights, *[0.0] * len(gone)])
    return following if len(following.uppers) <= PIECES_MAX else None


def read_ranges(value: object, count: int, place: str) -> Ranges:
    """Ranges from pairs of upper end and owner.

    Raises:
        PlainError: they do not cover [0, 1) in rising order, or name an arm that is not there.
    """
    uppers: list[float] = []
    indexes: list[int] = []
    last = 0.0
    for number, pair in enumerate(plain.items(value, place)):
        where = f"{place}[{number}]"
        upper, index = (*plain.items(pair, where), None, None)[:2]
        end = plain.number(upper, f"{where}[0]", least=last, most=1.0)
        owner = plain.integer(index, f"{where}[1]")
        if owner >= count:
            raise plain.PlainError(f"{where}[1]", f"there is no arm {owner}")
        if end == last:
            raise plain.PlainError(f"{where}[0]", f"must be more than {last:g}")
        uppers.append(end)
        indexes.append(owner)
        last = end
    if last != 1.0:
        raise plain.PlainError(place, f"must end at 1, not at {last:g}")
    uppers[-1] = TOP
    return Ranges(uppers, indexes)


def _join(pieces: list[tuple[float, float, int]]) -> Ranges:
    """Neighbours of one owner become one range; empty ones vanish."""
    uppers: list[float] = []
    indexes: list[int] = []
    for start, end, index in pieces:
        if end - start <= SLIVER:
            continue
        if indexes and indexes[-1] == index:
            uppers[-1] = end
        else:
            uppers.append(end)
            indexes.append(index)
    uppers[-1] = TOP
    return Ranges(uppers, indexes)
