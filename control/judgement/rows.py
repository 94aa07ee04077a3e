"""What is kept of each event of a rollout, as rows of one array: many rollouts are worked on at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from control.stats.events import Tally

Array = npt.NDArray[Any]
Keys = tuple[str, ...]
T = TypeVar("T")

_FIELDS: Final = tuple(each.name for each in fields(Tally))
_NOTHING_ELSE: Final[Mapping[str, Any]] = {}


class Rows(Mapping[str, T], Generic[T]):
    """A mapping from the keys of events to figures; a row without any figure is no member.

    `array` has a row for each of `keys`, and is never changed in place. `rest` are members that are kept
    although nothing adds to them: those of a plan before the one in force.
    """

    __slots__ = ("array", "keys_", "rest")

    width: ClassVar[int]
    kind: ClassVar[type]

    def __init__(self, keys: Keys, array: Array, rest: Mapping[str, T] = _NOTHING_ELSE) -> None:
        self.keys_ = keys
        self.array = array
        self.rest = rest

    @classmethod
    def of(cls, members: Mapping[str, T]) -> Self:
        """The rows of these members, not yet laid out; the same object when they are rows already."""
        if isinstance(members, cls):
            return members
        return cls((), np.zeros((0, cls.width), dtype=cls.kind), dict(members))

    @classmethod
    def member(cls, row: Array) -> T | None:
        """What a row says; None when it says nothing."""
        raise NotImplementedError

    @classmethod
    def row(cls, member: T) -> Sequence[float]:
        """The inverse of `member`."""
        raise NotImplementedError

    def aligned(self, keys: Keys) -> Self:
        """The same members with a row for each of `keys`, in their order."""
        if self.keys_ is keys:
            return self
        array: Array = np.zeros((len(keys), self.width), dtype=self.kind)
        rest = dict(self.items())
        for place, key in enumerate(keys):
            if key in rest:
                array[place] = self.row(rest.pop(key))
        return type(self)(keys, array, rest)

    def rest_of(self, keys: Keys) -> Mapping[str, T]:
        """The members that `aligned` keeps beside its rows."""
        return self.rest if self.keys_ is keys else self.aligned(keys).rest

    def only(self, keys: Collection[str]) -> Self:
        """Some of the members."""
        return self.of({key: member for key, member in self.items() if key in keys})

    def __getitem__(self, key: str) -> T:
        if key in self.rest:
            return self.rest[key]
        try:
            place = self.keys_.index(key)
        except ValueError:
            raise KeyError(key) from None
        member = self.member(self.array[place])
        if member is None:
            raise KeyError(key)
        return member

    def __iter__(self) -> Iterator[str]:
        yield from (self.keys_[place] for place in np.flatnonzero(self.array.any(axis=1)))
        yield from self.rest

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Pairs(Rows[tuple[int, int]]):
    """Cumulative counts, canary first."""

    __slots__ = ()
    width = 2
    kind = np.int64

    @classmethod
    def member(cls, row: Array) -> tuple[int, int] | None:
        canary, control = row.tolist()
        return (canary, control) if canary or control else None

    @classmethod
    def row(cls, member: tuple[int, int]) -> Sequence[float]:
        return member


class Tallies(Rows[Tally]):
    """What blocks add up to, in the order of the fields of `Tally`; exact up to 2**53 requests."""

    __slots__ = ()
    width = 7
    kind = np.float64

    @classmethod
    def member(cls, row: Array) -> Tally | None:
        n_c, n_t, x_c, x_t, cross_c, cross_t, pairs = row.tolist()
        if not (n_c or n_t):
            return None
        return Tally(
            n_canary=int(n_c),
            n_control=int(n_t),
            x_canary=int(x_c),
            x_control=int(x_t),
            cross_canary=cross_c,
            cross_control=cross_t,
            pairs=pairs,
        )

    @classmethod
    def row(cls, member: Tally) -> Sequence[float]:
        return (
            *(member.n_canary, member.n_control, member.x_canary, member.x_control),
            *(member.cross_canary, member.cross_control, member.pairs),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as `Tally.to_json` gives them."""
        found = {key: tally.to_json() for key, tally in self.rest.items()}
        for key, (n_c, n_t, x_c, x_t, *sums) in zip(self.keys_, self.array.tolist(), strict=True):
            if n_c or n_t:
                counts = (int(n_c), int(n_t), int(x_c), int(x_t))
                found[key] = dict(zip(_FIELDS, (*counts, *sums), strict=True))
        return found

    @staticmethod
    def added(blocks: Array) -> Array:
        """What blocks add to tallies: shape (..., 7) from rows of n_c, n_t, x_c, x_t, shape (..., 4).

        A block with an empty arm adds to the counts only.
        """
        n_c, n_t, x_c, x_t = np.moveaxis(blocks, -1, 0)
        total = np.where((n_c > 0) & (n_t > 0), n_c + n_t, np.inf)
        return np.concatenate(
            (blocks, np.stack((x_c * n_t / total, x_t * n_c / total, n_c * n_t / total), axis=-1)), axis=-1
        )


NO_PAIRS: Final = Pairs.of({})
NO_TALLIES: Final = Tallies.of({})
