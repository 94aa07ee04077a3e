"""The counts of one shadow as one mapping of names to numbers, so that boots add up name by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from proxy.compare.tallies import RATIOS
from proxy.counters import SHADOW_0
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOME_NAMES
from proxy.shadow import cells

Values = Mapping[str, int]
Histogram = npt.NDArray[np.int64]

ROLES: Final = frozenset({"shadow", "noise"})
# Names of a shadow with every histogram full and every path taken are fewer.
NAMES_MAX: Final = 4096
# When a comparison began and ended, in seconds since 1970: in the sum of ended boots alone.
BEGAN: Final = "began"
ENDED_AT: Final = "ended"


class ShadowKey(NamedTuple):
    """What is counted apart: a shadow of a route, or the noise floor beside it, under one comparison."""

    route: str
    shadow: str
    role: str
    stage: str


def copied(outcomes: list[int], total: list[tuple[int, int]], own: list[tuple[int, int]]) -> dict[str, int]:
    """The names of what workers count: outcomes, latency buckets, and cells numbered from `SHADOW_0`."""
    found = {f"answer:{name}": count for name, count in zip(OUTCOME_NAMES, outcomes, strict=True) if count}
    found |= {f"latency:{bucket}": count for bucket, count in total}
    for place, count in own:
        name = _NAMES.get(SHADOW_0 + place)
        if name is not None:
            found[name] = found.get(name, 0) + count
    return found


def _names() -> dict[int, str]:
    names = {cells.ELIGIBLE: "eligible", cells.SKIPPED: "skipped", cells.PAIRED: "paired"}
    for size, text in enumerate(cells.SIZE_NAMES):
        names[cells.MIRRORED_0 + size] = f"mirrored:{text}"
    for first, kind, reasons in (
        (cells.SKIPPED_0, "skip", cells.SKIP_NAMES),
        (cells.UNPAIRED_0, "unpaired", cells.UNPAIRED_NAMES),
    ):
        for reason, text in enumerate(reasons):
            for size, size_text in enumerate(cells.SIZE_NAMES):
                names[first + reason * cells.SIZE_CLASSES + size] = f"{kind}:{text}:{size_text}"
    return names


_NAMES: Final = _names()


def compared(value: Mapping[str, Any]) -> dict[str, int]:
    """The names of what the comparing process counts, from its plain form."""
    found = {name: int(value[name]) for name in ("compared", "agreed", "primary_sum_us", "shadow_sum_us")}
    found["pairs_lost"] = int(value.get("lost", 0))
    found |= {f"kind:{kind}": int(count) for kind, count in value["kinds"].items()}
    found |= {f"path:{kind}:{path}": int(count) for path, kind, count in value["paths"]}
    for name in ("primary_us", "shadow_us", "ratio"):
        found |= {f"{name}:{int(bucket)}": int(count) for bucket, count in value[name]}
    return found


def largest(first: Values, second: Values) -> dict[str, int]:
    """The newer state of two reports of one boot: every count only grows."""
    merged = dict(first)
    for name, count in second.items():
        if count > merged.get(name, 0):
            merged[name] = count
    return merged


def added(first: Values, second: Values) -> dict[str, int]:
    """The sum of two boots."""
    merged = dict(first)
    for name, count in second.items():
        if name in merged or len(merged) < NAMES_MAX:
            merged[name] = merged.get(name, 0) + count
    return merged


class ShadowTotals:
    """What a shadow has counted, with names for the figures that people ask for."""

    def __init__(self, values: Values, samples: tuple[dict[str, Any], ...] = ()) -> None:
        self.values = values
        self.samples = samples

    def get(self, name: str) -> int:
        """One count."""
        return self.values.get(name, 0)

    def under(self, prefix: str) -> dict[str, int]:
        """The counts whose names begin with `prefix` and a colon, by the rest of their names."""
        start = f"{prefix}:"
        return {name[len(start) :]: count for name, count in self.values.items() if name.startswith(start)}

    @property
    def began(self) -> int | None:
        """When the comparison began, Unix seconds; None where it has only just."""
        return self.values.get(BEGAN)

    @property
    def ended(self) -> int | None:
        """When it ended, if it did."""
        return self.values.get(ENDED_AT)

    @property
    def mirrored(self) -> int:
        return sum(self.under("mirrored").values())

    @property
    def compared(self) -> int:
        return self.get("compared")

    @property
    def disagreed(self) -> int:
        return self.get("compared") - self.get("agreed")

    def histogram(self, name: str) -> Histogram:
        """The buckets of `primary_us`, `shadow_us` or `latency`, or the places of `ratio`."""
        found = np.zeros(RATIOS if name == "ratio" else BUCKETS, dtype=np.int64)
        for bucket, count in self.under(name).items():
            found[int(bucket)] = count
        return found


NOTHING: Final = ShadowTotals({})
