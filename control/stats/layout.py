"""In which order the events and processes of a plan are kept: equal for plans that ask for the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from control.stats.events import Event, Source
from control.stats.overdispersion import Phi, places
from control.stats.process import Bet, Process, by_bet
from control.stats.wealth import Caution

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Processes with the same bet."""

    processes: tuple[Process, ...]
    events: npt.NDArray[np.intp]
    """The place of each one's event in the layout, shape (P,)."""
    caution: Caution
    """How long what they win must last to count."""
    first: int
    """How many processes the groups before it have."""
    offset: int
    """How many members the bets of these have."""

    @property
    def count(self) -> int:
        return len(self.processes)

    @property
    def span(self) -> slice:
        """Where the members of its bets are among those of all."""
        return slice(self.offset, self.offset + self.count * self.bet.size)

    @property
    def members(self) -> slice:
        """Where its processes are among all."""
        return slice(self.first, self.first + self.count)

    @property
    def bet(self) -> Bet:
        return self.processes[0].bet

    @property
    def harm(self) -> bool:
        return self.processes[0].harm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Layout:
    """Rollouts with the same layout, the same object, are worked on as rows of the same arrays."""

    events: tuple[Event, ...]
    keys: tuple[str, ...]
    """Of the events."""
    own: npt.NDArray[np.bool_]
    """Which events are asked of other requests than all that can fail, shape (E,)."""
    delayed: npt.NDArray[np.bool_]
    """Which may still happen after their stage has ended: failures, and what is reported later."""
    groups: tuple[Group, ...]
    """Those on harm first."""
    count: int
    """Processes of all groups."""
    size: int
    """Members of all their bets."""
    harm_size: int
    """Members of those on harm."""
    places: dict[str, tuple[int, int]] = field(repr=False)
    """By the key of a process: its group, and its place there."""
    process_of: npt.NDArray[np.intp] = field(repr=False)
    """The process of each member of a bet, shape (size,)."""
    phi_places: npt.NDArray[np.intp] = field(repr=False)
    """`control.stats.overdispersion.places` of each process's event, shape (2, count)."""

    def phi(self, phi: Sequence[Phi]) -> Floats:
        """How much more keys differ than requests would, by process, of R rollouts: shape (R, count)."""
        found = np.array(phi)
        one, other = self.phi_places
        result: Floats = np.maximum(found[:, one], found[:, other])
        return result


# Caution of bets on the absence of harm, which is asked of all data.
NO_CAUTION: Final = Caution.of(0.0, 0.5)
_KNOWN: Final[WeakValueDictionary[object, Layout]] = WeakValueDictionary()


def layout_of(processes: Sequence[Process], caution: Caution) -> Layout:
    """The layout of these processes, the same one for as long as somebody has it."""
    events = {process.event.key: process.event for process in processes}
    name = (
        caution,
        tuple((process.key, process.event.place, process.harm) for process in processes),
    )
    known = _KNOWN.get(name)
    if known is not None:
        return known
    keys = tuple(events)
    groups: list[Group] = []
    count = size = harm_size = 0
    for alike in sorted(by_bet(processes).values(), key=lambda alike: not alike[0].harm):
        group = Group(
            processes=alike,
            events=np.array([keys.index(process.event.key) for process in alike], dtype=np.intp),
            caution=caution if alike[0].harm else NO_CAUTION,
            first=count,
            offset=size,
        )
        groups.append(group)
        count, size = group.members.stop, group.span.stop
        harm_size = size if group.harm else harm_size
    found = Layout(
        events=tuple(events.values()),
        keys=keys,
        own=np.array([event.source is not Source.FAILURE for event in events.values()]),
        delayed=np.array([event.delayed or event.source is Source.FAILURE for event in events.values()]),
        groups=tuple(groups),
        count=count,
        size=size,
        harm_size=harm_size,
        places={
            process.key: (i, j) for i, group in enumerate(groups) for j, process in enumerate(group.processes)
        },
        process_of=np.concatenate(
            [np.repeat(np.arange(group.first, group.members.stop), group.bet.size) for group in groups]
        )
        if groups
        else np.zeros(0, dtype=np.intp),
        phi_places=np.array(
            [places(process.event) for group in groups for process in group.processes], dtype=np.intp
        )
        .reshape(-1, 2)
        .T,
    )
    _KNOWN[name] = found
    return found
