"""What a cell tells: how many of its runs came to something, and after how many requests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from control.stats.intervals import wilson

Counts = npt.NDArray[np.int64]


def of_rate(count: int, runs: int) -> dict[str, Any]:
    """How often something happened that ought not to; plain JSON values."""
    low, high = wilson(count, runs)
    return {"rolled_back": count, "rate": count / runs, "low": low, "high": high}


def of_requests(
    requests: Counts,
    seconds: Counts,
    *,
    runs: int,
    limit: float,
    fixed: float = math.nan,
    by_median: bool = False,
) -> dict[str, Any]:
    """How soon something was found; plain JSON values.

    Args:
        requests, seconds: until then, of the runs in which it was found.
        runs: how many there were in all.
        limit: mean requests that no test can undercut.
        fixed: requests of a test that is looked at once.
        by_median: whether it is the median that is set against the limit.
    """
    found = len(requests) > 0
    mean, median, p90, second = (
        float(value) if found else math.nan
        for value in (
            (requests.mean(), np.median(requests), np.quantile(requests, 0.9), np.median(seconds))
            if found
            else (math.nan,) * 4
        )
    )
    return {
        "detected": len(requests) / runs,
        "mean_requests": mean,
        "median_requests": median,
        "p90_requests": p90,
        "median_seconds": second,
        "limit": limit,
        "ratio": (median if by_median else mean) / limit,
        "fixed": fixed,
    }
