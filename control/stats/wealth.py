"""Where a process stands, and what short bursts of trouble may add to it.

Failures of one arm that come in a burst (a node dies for half a minute) are not independent, so they could
condemn an innocent build. Two measures make a verdict need trouble that lasts:

* *Clipping.* What a member of the bet wins in one slice of time counts at most `cap`. Clipping an e-value
  from above keeps it one, since E min(e, c) <= E e <= 1.
* *Leaving windows out.* Take any set of windows, each of `window` slices and with at least `gap` slices
  between two of them. The process that bets nothing in those windows is a supermartingale, and the smallest
  over all such sets is below every one of them, so it may be compared with the same threshold. Whatever comes
  in bursts that each fit into a window and lie a gap apart adds nothing to the process that leaves them out,
  hence such bursts cause a false rollback no more often than none, however many there are.

A build that fails without a pause is condemned nearly as soon as with a single window, because after the
first one a whole gap has to be bet on; moderate harm loses the share of time that windows may cover.

The recursion: `free` is the smallest over the sets that have no window in the last gap, and `register[i]` the
smallest over those whose last window began i + 1 slices ago. With a slice that won e,

    free' = e min(free, register[last]),  register'[0] = min(free, register[last]),
    register'[i] = register[i - 1] within the window, e register[i - 1] in the gap behind it.

Both measures are applied to each member of the grid, which is at most more careful than to the mixture.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from control.stats.process import LOG_FIRST_START, Process

Floats = npt.NDArray[np.float64]

# Slices to a burst: more of them waste less of the window on a burst's ragged ends, and cost memory.
SLICES: Final = 6
# Shorter ones would mostly hold one failure or none, and windows could pick out the failures.
SHORTEST_SLICE_S: Final = 5.0
# Time between two windows. What fails without a pause is condemned before a second window may begin. It does
# not shrink with the bursts: the more windows there may be, the less is left of harm that shows slowly.
GAP_S: Final = 110.0
# So many slices outside of windows reach the threshold of a bet that had no prior to pay for.
SLICES_TO_CONDEMN: Final = 1.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """How long trouble must last to count."""

    slice_s: float
    """Seconds of a slice of time; 0 = no slices, everything counts at once."""
    cap: float
    """The most that one slice may add to the logarithm of an e-value."""
    window: int
    """Slices that a burst may touch, left out wherever they are dearest; 0 = none."""
    gap: int
    """The least number of slices between two windows."""

    @classmethod
    def of(cls, burst_s: float, alpha: float) -> Self:
        """Bursts up to `burst_s` seconds are to be survived at level `alpha`; 0 = no caution at all.

        A burst touches one slice more than it fills when it begins within one. Window, gap and cap are those
        which, of the ones tried, keep bursts from condemning with everything that fails still condemned
        within two bursts' time (docs/statistics.md).
        """
        if burst_s <= 0:
            return cls(slice_s=0.0, cap=math.inf, window=0, gap=0)
        slice_s = max(burst_s / SLICES, SHORTEST_SLICE_S)
        return cls(
            slice_s=slice_s,
            cap=math.log(1.0 / alpha) / SLICES_TO_CONDEMN,
            window=_slices(burst_s, slice_s) + 1,
            gap=_slices(GAP_S, slice_s),
        )


def _slices(seconds: float, slice_s: float) -> int:
    """How many slices cover so much time; never none. Six sixths are the whole, whatever doubles say."""
    return max(1, math.ceil(seconds / slice_s - 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wealth:
    """Logarithms of what each member of a bet has won; the last axis is the grid, K.

    Leading axes may be anything: one process has none, a rollout has its processes, a simulation its runs.
    """

    free: Floats
    """Without a window in the last gap, shape (..., K)."""
    register: Floats
    """By the age of the last window, shape (..., window + gap, K); infinite where there is none yet."""
    pending: Floats
    """Won in the open slice, not yet clipped, shape (..., K)."""

    @classmethod
    def begin(cls, process: Process, caution: Caution, runs: tuple[int, ...] = ()) -> Self:
        """The state before any data."""
        shape = (*runs, process.bet.size)
        length = caution.window + caution.gap if process.harm else 0
        return cls(
            free=np.full(shape, LOG_FIRST_START if process.harm else 0.0),
            register=np.full((*runs, length, process.bet.size), math.inf),
            pending=np.zeros(shape),
        )

    def fits(self, caution: Caution) -> bool:
        """Whether it is kept for this caution."""
        return bool(self.register.shape[-2] == caution.window + caution.gap)

    def fit(self, caution: Caution) -> Wealth:
        """The state for another caution: what is won stays, windows begin anew."""
        if self.fits(caution):
            return self
        length = caution.window + caution.gap
        least = np.minimum(self.free, self.register.min(axis=-2, initial=math.inf))
        register = np.full((*least.shape[:-1], length, least.shape[-1]), math.inf)
        return Wealth(free=least, register=register, pending=self.pending)

    def absorb(self, increments: Floats) -> Wealth:
        """The state after one more block."""
        return Wealth(free=self.free, register=self.register, pending=self.pending + increments)

    def close(self, caution: Caution, phi: float | Floats = 1.0) -> Wealth:
        """The state after the open slice ended.

        Args:
            phi: what evidence is divided by where it is read, so that so much more may count.
        """
        won = np.minimum(self.pending, caution.cap * phi)
        free, register = self._free(), self.register
        if caution.window:
            within = caution.window - 1
            register = np.concatenate(
                (
                    free[..., None, :],
                    register[..., :within, :],
                    register[..., within:-1, :] + won[..., None, :],
                ),
                axis=-2,
            )
        return Wealth(free=free + won, register=register, pending=np.zeros_like(self.pending))

    def start(self, log_weight: float) -> Wealth:
        """The state with one more start; only right after a slice was closed."""
        return Wealth(
            free=np.logaddexp(self.free, log_weight),
            register=np.logaddexp(self.register, log_weight),
            pending=self.pending,
        )

    def floors(self, caution: Caution) -> Floats:
        """What `values` are made of besides the open slice: they stay until it ends. Shape (2, ..., K).

        The least over the sets of windows that bet on the open slice, and over those that leave it out.
        """
        if not caution.window:
            return np.stack((self.free, np.full_like(self.free, math.inf)))
        within = caution.window - 1
        free = self._free()
        return np.stack(
            (
                np.minimum(free, self.register[..., within:, :].min(axis=-2)),
                # The open slice may be the first of a window, too.
                np.minimum(free, self.register[..., :within, :].min(axis=-2, initial=math.inf)),
            )
        )

    def values(self, caution: Caution, phi: float | Floats = 1.0) -> Floats:
        """What each member has to show now, undivided, shape (..., K)."""
        betting, leaving = self.floors(caution)
        result: Floats = np.minimum(betting + np.minimum(self.pending, caution.cap * phi), leaving)
        return result

    def _free(self) -> Floats:
        """Where a window may begin now: the last one, if any, is a gap ago."""
        return np.minimum(self.free, self.register[..., -1, :]) if self.register.shape[-2] else self.free

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; arrays as base64 of little-endian doubles, so nothing is rounded."""
        return {name: pack(getattr(self, name)) for name in ("free", "register", "pending")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, for a single process."""
        free = unpack(data["free"])
        return cls(
            free=free,
            register=unpack(data["register"]).reshape(-1, len(free)),
            pending=unpack(data["pending"]),
        )


def pack(values: Floats) -> str:
    """Doubles as base64 text."""
    return base64.b64encode(values.astype("<f8").tobytes()).decode("ascii")


def unpack(text: str) -> Floats:
    """The inverse of `pack`, flat."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
