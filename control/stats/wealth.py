"""Where a process stands, and what a short burst of trouble may add to it.

Failures of one arm that come in a burst (a node dies for half a minute) are not independent, so they could
condemn an innocent build. Two measures make a verdict need trouble that lasts:

* *Clipping.* What a member of the bet wins in one slice of time counts at most `cap`. Clipping an e-value
from
  above keeps it one, since E min(e, c) <= E e <= 1.
* *Leaving a window out.* For a window W of `window` slices let E^(W) be the process that bets nothing in
W. Each
  E^(W) is a supermartingale, and the smallest of them is below every one, so it may be compared with the same
  threshold. A burst that fits into the window adds nothing to the E^(W) that leaves it out, hence a single
  burst causes a false rollback no more often than no burst at all.

The recursion behind the second: with A the full process and B the smallest over the windows that have
ended, after a slice that won e, B_s = min(B_(s-1) e, A_(s-window)), because such a window either ended before
or ends now. Among them is the window at the very beginning, so B is below one supermartingale all the time.
Both measures are applied to each member of the grid, which is at most more careful than to the mixture.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from control.stats.process import LOG_FIRST_START, Process

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """How long trouble must last to count."""

    slice_s: float
    """Seconds of a slice of time; 0 = no slices, everything counts at once."""
    cap: float
    """The most that one slice may add to the logarithm of an e-value."""
    window: int
    """Slices that are left out."""

    @classmethod
    def of(cls, burst_s: float, alpha: float) -> Self:
        """Bursts up to `burst_s` seconds are to be survived at level `alpha`; 0 = no caution at all.

        Six slices make a burst, and it touches one more when it begins within a slice. The cap lets three
        slices outside the window reach the threshold: of one to twelve that gave the fewest false rollbacks
        with everything that fails condemned within two bursts' time (docs/statistics.md).
        """
        if burst_s <= 0:
            return cls(slice_s=0.0, cap=math.inf, window=0)
        return cls(slice_s=burst_s / 6.0, cap=math.log(1.0 / alpha) / 3.0, window=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wealth:
    """Logarithms of what each member of a bet has won; the last axis is the grid, K.

    Leading axes may be anything: one rollout has none, a simulation has its runs.
    """

    least: Floats
    """B: with the dearest window left out, shape (..., K)."""
    history: Floats
    """A at the last `window` ends of slices, oldest first, shape (..., window, K)."""
    pending: Floats
    """Won in the open slice, not yet clipped, shape (..., K)."""

    @classmethod
    def begin(cls, process: Process, caution: Caution, runs: tuple[int, ...] = ()) -> Self:
        """The state before any data."""
        shape = (*runs, process.bet.size)
        first = LOG_FIRST_START if process.harm else 0.0
        window = caution.window if process.harm else 0
        return cls(
            least=np.full(shape, first),
            history=np.full((*runs, window, process.bet.size), first),
            pending=np.zeros(shape),
        )

    def fit(self, window: int) -> Wealth:
        """The state for another length of window, which begins empty."""
        if self.history.shape[-2] == window:
            return self
        newest = self.history[..., -1:, :] if self.history.shape[-2] else self.least[..., None, :]
        return Wealth(least=self.least, history=np.repeat(newest, window, axis=-2), pending=self.pending)

    def absorb(self, increments: Floats) -> Wealth:
        """The state after one more block."""
        return Wealth(least=self.least, history=self.history, pending=self.pending + increments)

    def close(self, cap: float) -> Wealth:
        """The state after the open slice ended."""
        won = np.minimum(self.pending, cap)
        least, history = self.least + won, self.history
        if history.shape[-2]:
            least = np.minimum(least, history[..., 0, :])
            newest = history[..., -1:, :] + won[..., None, :]
            history = np.concatenate((history[..., 1:, :], newest), axis=-2)
        return Wealth(least=least, history=history, pending=np.zeros_like(self.pending))

    def start(self, log_weight: float) -> Wealth:
        """The state with one more start; only right after a slice was closed."""
        return Wealth(
            least=np.logaddexp(self.least, log_weight),
            history=np.logaddexp(self.history, log_weight),
            pending=self.pending,
        )

    def values(self, cap: float) -> Floats:
        """What each member has to show now, shape (..., K)."""
        now = self.least + np.minimum(self.pending, cap)
        if self.history.shape[-2]:
            now = np.minimum(now, self.history[..., 0, :])
        return now

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; arrays as base64 of little-endian doubles, so nothing is rounded."""
        return {name: pack(getattr(self, name)) for name in ("least", "history", "pending")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, for a single run."""
        least = unpack(data["least"])
        return cls(
            least=least,
            history=unpack(data["history"]).reshape(-1, len(least)),
            pending=unpack(data["pending"]),
        )


def pack(values: Floats) -> str:
    """Doubles as base64 text."""
    return base64.b64encode(values.astype("<f8").tobytes()).decode("ascii")


def unpack(text: str) -> Floats:
    """The inverse of `pack`, flat."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
