"""Numbers as a person reads them in a reason."""

from __future__ import annotations

import math


def percent(share: float | None) -> str:
    """A share of requests, with more digits where it is small."""
    if share is None:
        return "nothing"
    digits = 1 if share >= 0.1 else 2 if share >= 0.001 else 3
    return f"{share * 100:.{digits}f} %"


def rate(events: int, n: int) -> str:
    """Events of n with their share."""
    return f"{events} of {n} ({percent(events / n if n else None)})"


def seconds(value: float | None) -> str:
    """A latency."""
    if value is None:
        return "nothing"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def number(value: float | None) -> str:
    """A metric's value."""
    return "nothing" if value is None else f"{value:.4g}"


def e_value(log_e: float) -> str:
    """An e-value, in powers of ten where it is large."""
    if log_e > math.log(1e6):
        return f"1e{log_e / math.log(10):.0f}"
    value = math.exp(log_e)
    return f"{value:.3g}"


def about(requests: float) -> int | None:
    """A number of requests to two digits, upwards; None when it is beyond saying."""
    if not math.isfinite(requests) or requests > 1e12:
        return None
    # A hair above a whole number is rounding, not another request.
    whole = max(0, math.ceil(requests * (1.0 - 1e-9)))
    step = 10 ** max(0, len(str(whole)) - 2)
    return int(-(-whole // step) * step)
