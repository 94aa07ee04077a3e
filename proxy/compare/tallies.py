"""What a comparison has found so far: sums that only grow, and a bounded choice of what differed."""

from __future__ import annotations

import math
from typing import Any, Final

from proxy.compare.findings import Finding
from proxy.histogram import BUCKETS, bucket_index

PATHS_MAX: Final = 200
OTHER: Final = "(other paths)"
# Ratios of the two times, sixteen buckets a doubling as in `proxy.histogram`: from 1/1024 to 1024.
RATIOS_PER_DOUBLING: Final = 16
RATIO_ONE: Final = 160
RATIOS: Final = 321
SAMPLE_CHARACTERS_MAX: Final = 200


def ratio_bucket(primary_us: int, shadow_us: int) -> int:
    """The bucket of shadow / primary: number i ends at 2^((i - 160) / 16); the outer ones are open."""
    ratio = max(1, shadow_us) / max(1, primary_us)
    # A hair below, so that an exact power of two stays in the bucket that ends with it.
    place = math.ceil(RATIOS_PER_DOUBLING * math.log2(ratio) - 1e-9)
    return min(RATIOS - 1, max(0, RATIO_ONE + place))


def ratio_edge(bucket: int) -> float:
    """The upper edge of a bucket of ratios."""
    return float(2.0 ** ((bucket - RATIO_ONE) / RATIOS_PER_DOUBLING))


class Comparisons:
    """The cumulative results of one comparison in one life of the comparing process."""

    __slots__ = (
        "agreed",
        "compared",
        "kinds",
        "paths",
        "primary",
        "primary_sum_us",
        "ratio",
        "samples",
        "shadow",
        "shadow_sum_us",
    )

    def __init__(self) -> None:
        self.compared = 0
        self.agreed = 0
        self.kinds: dict[str, int] = {}
        # Pairs that differ at a path in a way; each pair counts once for each.
        self.paths: dict[tuple[str, str], int] = {}
        self.primary = [0] * BUCKETS
        self.shadow = [0] * BUCKETS
        self.ratio = [0] * RATIOS
        self.primary_sum_us = 0
        self.shadow_sum_us = 0
        self.samples: list[dict[str, Any]] = []

    def add(self, found: list[Finding], primary_us: int, shadow_us: int) -> None:
        """Count one pair."""
        self.compared += 1
        self.primary[bucket_index(primary_us)] += 1
        self.shadow[bucket_index(shadow_us)] += 1
        self.ratio[ratio_bucket(primary_us, shadow_us)] += 1
        self.primary_sum_us += primary_us
        self.shadow_sum_us += shadow_us
        if not found:
            self.agreed += 1
            return
        for kind in {finding.kind for finding in found}:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        for key in {(finding.path, finding.kind) for finding in found}:
            if key not in self.paths and len(self.paths) >= PATHS_MAX:
                key = (OTHER, key[1])
            self.paths[key] = self.paths.get(key, 0) + 1

    def sample(self, found: list[Finding], request_id: str, most: int, *, bodies: bool) -> None:
        """Keep an example of a disagreement: the first ones, and of values only what may be shown."""
        if len(self.samples) >= most:
            return
        differences = [
            {"path": finding.path, "kind": finding.kind}
            | ({"primary": _shown(finding.primary), "shadow": _shown(finding.shadow)} if bodies else {})
            for finding in found[:8]
        ]
        self.samples.append({"request_id": request_id, "differences": differences})

    def to_json(self) -> dict[str, Any]:
        """Plain values; histograms as [bucket, count] pairs."""
        return {
            "compared": self.compared,
            "agreed": self.agreed,
            "kinds": self.kinds,
            "paths": [[path, kind, count] for (path, kind), count in self.paths.items()],
            "primary_us": _sparse(self.primary),
            "shadow_us": _sparse(self.shadow),
            "ratio": _sparse(self.ratio),
            "primary_sum_us": self.primary_sum_us,
            "shadow_sum_us": self.shadow_sum_us,
            "samples": self.samples,
        }


def _sparse(cells: list[int]) -> list[list[int]]:
    return [[place, count] for place, count in enumerate(cells) if count]


def _shown(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, str):
        return value[:SAMPLE_CHARACTERS_MAX]
    return value


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The sum of the plain form of two lives' results."""
    paths = {(path, kind): count for path, kind, count in first["paths"]}
    for path, kind, count in second["paths"]:
        key = (path, kind) if (path, kind) in paths or len(paths) < PATHS_MAX else (OTHER, kind)
        paths[key] = paths.get(key, 0) + count
    kinds = dict(first["kinds"])
    for kind, count in second["kinds"].items():
        kinds[kind] = kinds.get(kind, 0) + count
    result: dict[str, Any] = {
        "kinds": kinds,
        "paths": [[path, kind, count] for (path, kind), count in paths.items()],
        "samples": (first["samples"] or second["samples"]),
    }
    for name in ("compared", "agreed", "primary_sum_us", "shadow_sum_us"):
        result[name] = first[name] + second[name]
    for name in ("primary_us", "shadow_us", "ratio"):
        cells = dict(map(tuple, first[name]))
        for place, count in second[name]:
            cells[place] = cells.get(place, 0) + count
        result[name] = [[place, cells[place]] for place in sorted(cells)]
    return result
