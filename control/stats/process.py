"""An evidence process: what one bet has won so far, with late starts and clipping by time slice."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from control.stats.events import Event
from control.stats.logspace import log_sum_exp

Floats = npt.NDArray[np.float64]


class Bet(Protocol):
    """A family of bets on blocks of counts, one for each effect size of a grid."""

    @property
    def key(self) -> str:
        """A name that is equal for equal bets, for stored evidence."""

    @property
    def log_weights(self) -> Floats:
        """Natural logarithms of the prior weights of the grid, shape (K,)."""

    def log_increments(self, n_c: Any, n_t: Any, x_c: Any, x_t: Any) -> Floats:
        """What each member of the family wins on blocks of shape (...), as logarithms, shape (..., K)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What to keep for one event: which bet, and whether it starts anew now and then."""

    event: Event
    bet: Bet
    restarts: bool = False
    """Harm may begin at any time, so new starts share the prior; the absence of harm is asked of all data."""

    @property
    def key(self) -> str:
        """A name that is equal for equal processes, for stored evidence."""
        return f"{self.event.key}|{self.bet.key}"


# Prior mass of the first start; the rest is spread over later ones as 1/(j(j+1)), which adds up to the same
# whatever the number of starts, so no horizon has to be known (Shiryaev-Roberts weighted by a prior).
LOG_FIRST_START: Final = float(np.log(0.5))


def log_start_weight(start: int) -> float:
    """Logarithm of the prior mass of start number `start` (0 is the first)."""
    return LOG_FIRST_START if start == 0 else LOG_FIRST_START - float(np.log(start * (start + 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wealth:
    """Where a process stands: logarithms of what each member of its bet has won, shape (K,).

    `pending` is what was won in the slice of time that is still open; it counts at most `cap` when read.
    """

    closed: Floats
    pending: Floats
    peak: float

    @classmethod
    def begin(cls, process: Process) -> Self:
        """The state before any data."""
        size = process.bet.log_weights.shape
        first = LOG_FIRST_START if process.restarts else 0.0
        return cls(closed=np.full(size, first), pending=np.zeros(size), peak=first)

    def absorb(self, increments: Floats) -> Wealth:
        """The state after one more block of the open slice."""
        return Wealth(closed=self.closed, pending=self.pending + increments, peak=self.peak)

    def close(self, cap: float) -> Wealth:
        """The state after the open slice ended, which counts at most `cap` for each member."""
        return Wealth(
            closed=self.closed + np.minimum(self.pending, cap),
            pending=np.zeros_like(self.pending),
            peak=self.peak,
        )

    def start(self, log_weight: float) -> Wealth:
        """The state with one more start; only between slices, before it has seen data."""
        return Wealth(closed=np.logaddexp(self.closed, log_weight), pending=self.pending, peak=self.peak)

    def log_e(self, log_weights: Floats, cap: float) -> float:
        """Logarithm of the mixture's e-value now."""
        return float(log_sum_exp(self.closed + np.minimum(self.pending, cap) + log_weights))

    def marked(self, log_e: float) -> Wealth:
        """The state with its peak raised to a value it has reached."""
        if log_e <= self.peak:
            return self
        return Wealth(closed=self.closed, pending=self.pending, peak=log_e)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; arrays as base64 of little-endian doubles, so nothing is rounded."""
        return {"closed": pack(self.closed), "pending": pack(self.pending), "peak": self.peak}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(closed=unpack(data["closed"]), pending=unpack(data["pending"]), peak=float(data["peak"]))


def pack(values: Floats) -> str:
    """Doubles as base64 text."""
    return base64.b64encode(values.astype("<f8").tobytes()).decode("ascii")


def unpack(text: str) -> Floats:
    """The inverse of `pack`."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
