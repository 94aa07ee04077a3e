"""Numbers as people read them: shares, durations, times, evidence."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

# Beyond this an e-value says "no doubt"; its digits say nothing more.
_E_SHOWN_MAX = 1e6


def share(value: float | None) -> str:
    """0.0512 as `5.12 %`; a dash without data."""
    if value is None:
        return "-"
    percent = value * 100
    return f"{percent:.2f} %" if percent < 10 and round(percent, 2) != int(percent) else f"{percent:.4g} %"


def seconds(value: float | None) -> str:
    """A latency or length of time in the unit that suits it."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 120 else duration(value)


def duration(value: float) -> str:
    """A length of time in at most two units: `42 s`, `3 min 5 s`, `2 h`."""
    whole = int(max(0.0, value))
    for size, name, below, below_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name}" + (f" {rest} {below_name}" if rest else "")
    return f"{whole} s"


def moment(when: float | str | None, now: float | None = None) -> str:
    """A time (Unix seconds or RFC 3339) in UTC and how long ago it was."""
    if when is None:
        return "-"
    unix = datetime.fromisoformat(when).timestamp() if isinstance(when, str) else when
    age = (time.time() if now is None else now) - unix
    ago = f" ({duration(age)} ago)" if age >= 0 else ""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") + ago


def evidence(log_e: float | None) -> str:
    """An e-value from its natural logarithm: how many times likelier the data are if there is harm.

    None stands for a figure that JSON cannot carry because it is infinite.
    """
    if log_e is None or log_e > math.log(_E_SHOWN_MAX):
        return f"over {_E_SHOWN_MAX:,.0f}".replace(",", " ")
    value = math.exp(log_e)
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def probability(value: float) -> str:
    """A chance; very small ones by their bound."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}".rstrip("0").rstrip(".")


def measure(found: Mapping[str, Any], unit: str) -> str:
    """One arm's figure as `5.1 % [3.2, 8.0] 23/440`; `no data` when there is none."""
    value = found.get("value")
    if value is None:
        return "no data"
    show = {"share": share, "seconds": seconds}.get(unit, _ratio)
    text = show(value)
    low, high = found.get("low"), found.get("high")
    if low is not None or high is not None:
        text += f" [{show(low) if low is not None else '-'}, {show(high) if high is not None else '-'}]"
    if unit == "share" and found.get("n"):
        text += f" {found.get('events', 0)}/{found['n']}"
    return text


def limit(threshold: float | None, unit: str) -> str:
    """A guardrail's configured limit."""
    if threshold is None:
        return "-"
    return {"share": share, "seconds": seconds}.get(unit, _ratio)(threshold)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"x{value:.3g}"
