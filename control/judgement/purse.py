"""What the bets of a rollout have won: side by side in a few arrays, so that many are worked on at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from control.stats.layout import Group, Layout
from control.stats.overdispersion import NO_PHI, Phi
from control.stats.wealth import Wealth

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_NOTHING_ELSE: Final[Mapping[str, Wealth]] = {}


class Settled:
    """What was won in slices that have ended: by group, `Wealth` of shape (P, K) with nothing pending."""

    __slots__ = ("_floors", "wealth")

    def __init__(self, wealth: Sequence[Wealth]) -> None:
        self.wealth = tuple(wealth)
        self._floors: Floats | None = None

    def floors(self, layout: Layout) -> Floats:
        """`Wealth.floors` of all members, which stay until the open slice ends; shape (2, N)."""
        if self._floors is None:
            self._floors = np.concatenate(
                [
                    wealth.floors(group.caution).reshape(2, -1)
                    for group, wealth in zip(layout.groups, self.wealth, strict=True)
                ],
                axis=1,
            )
        return self._floors


class Purse(Mapping[str, Wealth]):
    """By the key of a process, what it has won; those that have not begun are no members.

    `pending` is what the members of all bets have won in the open slice, shape (N,), and `begun` says which
    processes have had a block, shape (P of all groups,). `rest` are members that the layout does not know:
    those of a plan before the one in force.
    """

    __slots__ = ("begun", "layout", "pending", "rest", "settled")

    def __init__(
        self,
        layout: Layout | None,
        settled: Settled,
        pending: Floats,
        begun: Bools,
        rest: Mapping[str, Wealth] = _NOTHING_ELSE,
    ) -> None:
        self.layout = layout
        self.settled = settled
        self.pending = pending
        self.begun = begun
        self.rest = rest

    @classmethod
    def of(cls, members: Mapping[str, Wealth]) -> Purse:
        """The purse of these members, without a layout."""
        return cls(None, Settled(()), np.zeros(0), np.zeros(0, dtype=np.bool_), dict(members))

    def aligned(self, layout: Layout) -> Purse:
        """The same members under another layout; where the caution differs, windows begin anew."""
        if self.layout is layout:
            return self
        rest = dict(self.items())
        pending, begun = np.zeros(layout.size), np.zeros(layout.count, dtype=np.bool_)
        settled: list[Wealth] = []
        for group in layout.groups:
            wealth = Wealth.begin(group.processes[0], group.caution, (group.count,))
            for place, process in enumerate(group.processes):
                if process.key in rest:
                    own = rest.pop(process.key)
                    own = own.fit(group.caution) if group.harm else own
                    wealth.free[place], wealth.register[place] = own.free, own.register
                    wealth.pending[place], begun[group.first + place] = own.pending, True
            pending[group.span] = wealth.pending.ravel()
            settled.append(wealth)
        return Purse(layout, Settled(settled), pending, begun, rest)

    def passed(self, slices: int, log_start: float | None, phi: Phi = NO_PHI) -> Purse:
        """After so many slices ended, with one more start of this weight; only of a purse with a layout.

        Args:
            phi: what evidence is divided by where it is read.
        """
        layout = self.layout
        assert layout is not None
        settled, pending = list(self.settled.wealth), self.pending.copy()
        by_process = layout.phi([phi])[0][:, None]
        for number, group in enumerate(layout.groups):
            if not group.harm:
                continue
            before = after = self._group(number, group)
            # Empty slices move windows on like any other; after a window and a gap nothing changes any more.
            for _ in range(min(slices, group.caution.window + group.caution.gap + 1)):
                after = after.close(group.caution, by_process[group.members])
            if log_start is not None:
                after = after.start(log_start)
            begun = self.begun[group.members][:, None]
            if not begun.all():
                after = Wealth(
                    free=np.where(begun, after.free, before.free),
                    register=np.where(begun[..., None], after.register, before.register),
                    pending=after.pending,
                )
            settled[number] = after
            pending[group.span] = 0.0
        return Purse(layout, Settled(settled), pending, self.begun, self.rest)

    def worth(self, number: int, phi: Floats) -> Floats:
        """What the members of a group have to show now, undivided, shape (P, K).

        Args:
            phi: of its processes, shape (P,).
        """
        assert self.layout is not None
        group = self.layout.groups[number]
        betting, leaving = self.settled.floors(self.layout)[:, group.span]
        cap = group.caution.cap * np.repeat(phi, group.bet.size)
        pending = np.minimum(self.pending[group.span], cap)
        result: Floats = np.minimum(betting + pending, leaving).reshape(group.count, -1)
        return result

    def __getitem__(self, key: str) -> Wealth:
        if key in self.rest:
            return self.rest[key]
        number, place = (-1, 0) if self.layout is None else self.layout.places.get(key, (-1, 0))
        if self.layout is None or number < 0:
            raise KeyError(key)
        group = self.layout.groups[number]
        if not self.begun[group.first + place]:
            raise KeyError(key)
        held = self._group(number, group)
        return Wealth(free=held.free[place], register=held.register[place], pending=held.pending[place])

    def __iter__(self) -> Iterator[str]:
        if self.layout is not None:
            for group in self.layout.groups:
                for process, begun in zip(group.processes, self.begun[group.members].tolist(), strict=True):
                    if begun:
                        yield process.key
        yield from self.rest

    def __len__(self) -> int:
        return int(self.begun.sum()) + len(self.rest)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: wealth.to_json() for key, wealth in self.items()}

    def _group(self, number: int, group: Group) -> Wealth:
        held = self.settled.wealth[number]
        pending = self.pending[group.span].reshape(group.count, -1)
        return Wealth(free=held.free, register=held.register, pending=pending)


NO_WEALTH: Final = Purse.of({})
