"""What evidence to keep: which bet is placed on which event, and whether it starts anew now and then."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from control.stats.events import Event

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Bet(Protocol):
    """Bets on blocks of counts, one for each member of a grid of effect sizes."""

    @property
    def key(self) -> str:
        """A name that is equal for equal bets, for stored evidence."""

    @property
    def size(self) -> int:
        """Members of the grid."""

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:
        """What each member wins on one block, as logarithms, shape (size,).

        Args:
            n_c, n_t: requests of the canary and of control.
            x_c, x_t: those among them with the event.
        """


class HarmBet(Bet, Protocol):
    """Bets that the canary is worse."""

    def log_e(self, values: Floats) -> float:
        """Logarithm of the mixture, from what the members have won."""

    def log_e_of(self, values: Floats) -> Floats:
        """Logarithms of many mixtures, shape (...), from values of shape (..., size)."""


def log_increments_of(bet: Bet, blocks: Counts) -> Floats:
    """What each member of a bet wins on each of many blocks, shape (B, size).

    Args:
        bet: one with a method of this name works out all blocks together.
        blocks: rows of n_canary, n_control, x_canary, x_control, shape (B, 4).
    """
    together = getattr(bet, "log_increments_of", None)
    if together is not None and len(blocks) > 1:
        found: Floats = together(blocks)
        return found
    return np.stack([bet.log_increments(*block) for block in blocks.tolist()])


class Reversed:
    """A bet on harm with the arms exchanged: that fewer of the canary's requests have the event."""

    def __init__(self, bet: HarmBet) -> None:
        self._bet = bet
        self.key = f"reversed:{bet.key}"
        self.size = bet.size

    def log_increments(self, n_c: int, n_t: int, x_c: int, x_t: int) -> Floats:
        """What each member wins on one block, as logarithms, shape (size,)."""
        return self._bet.log_increments(n_t, n_c, x_t, x_c)

    def log_increments_of(self, blocks: Counts) -> Floats:
        """The same for many blocks, shape (B, size)."""
        return log_increments_of(self._bet, blocks[:, (1, 0, 3, 2)])

    def log_e(self, values: Floats) -> float:
        """Logarithm of the mixture, from what the members have won."""
        return self._bet.log_e(values)

    def log_e_of(self, values: Floats) -> Floats:
        """The same of many mixtures."""
        return self._bet.log_e_of(values)


class SafeBet(Bet, Protocol):
    """Bets that the canary is not worse than each of several margins."""

    def log_e(self, values: Floats) -> list[float]:
        """Logarithm of the mixture for each margin."""

    def log_e_of(self, values: Floats) -> Floats:
        """Logarithms of many mixtures, shape (..., margins), from values of shape (..., size)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A bet on an event, kept up from block to block."""

    event: Event
    bet: Bet
    harm: ClassVar[bool] = False
    key: str = field(init=False, compare=False)
    """A name that is equal for equal processes, for stored evidence."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.event.key}|{self.bet.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmProcess(Process):
    """A bet on harm.

    Harm may begin at any time and comes in bursts that say nothing about a build, so it has late starts, a
    cap for each slice of time and a window that is left out.
    """

    bet: HarmBet
    harm: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeProcess(Process):
    """A bet on the absence of harm, which is asked of all data."""

    bet: SafeBet


# The first start gets most of the prior, for most bad releases are bad from the beginning. The rest is spread
# as 1 / sqrt(j) - 1 / sqrt(j + 1), which adds up to it over infinitely many starts, so no horizon has to be
# known; any weights with a sum of at most one are valid, because each start by itself is a nonnegative
# supermartingale that begins at its weight. 1 / j - 1 / (j + 1) would leave half of the rest to the first
# minute, when the first start is still young, and a third of this to the thirtieth.
FIRST_START: Final = 0.85
LOG_FIRST_START: Final = float(np.log(FIRST_START))
_LOG_LATER_STARTS: Final = float(np.log(1.0 - FIRST_START))


def log_start_weight(start: int) -> float:
    """Logarithm of the prior mass of start number `start`; 0 is the first."""
    if start == 0:
        return LOG_FIRST_START
    root, next_root = math.sqrt(start), math.sqrt(start + 1.0)
    # The difference of the two inverse roots, without subtracting numbers that are nearly equal.
    return _LOG_LATER_STARTS - math.log(root * next_root * (root + next_root))


def by_bet(processes: Iterable[Process]) -> dict[tuple[str, bool], tuple[Process, ...]]:
    """Processes by the key of their bet, and by whether they are on harm: these are worked out together."""
    found: dict[tuple[str, bool], tuple[Process, ...]] = {}
    for process in processes:
        key = (process.bet.key, process.harm)
        found[key] = (*found.get(key, ()), process)
    return found
