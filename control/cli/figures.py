"""Numbers as people read them: shares, durations, times, evidence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from proxy.histogram import BUCKETS, bucket_upper_edge

# Beyond this an e-value says "no doubt"; its digits say nothing more.
_E_SHOWN_MAX: Final = 1e6
# The last bucket of the histograms has no upper end, so an interval that reaches it has none either.
_LATENCY_MAX: Final = bucket_upper_edge(BUCKETS - 2)


def share(value: float | None) -> str:
    """0.0512 as `5.12 %`; a dash without data."""
    if value is None:
        return "-"
    percent = value * 100
    digits = f"{percent:.2f}".rstrip("0").rstrip(".") if percent < 10 else f"{percent:.4g}"
    return f"{digits} %"


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


def number(value: float | None) -> str:
    """A metric's value."""
    return "-" if value is None else f"{value:.4g}"


def probability(value: float) -> str:
    """A chance; very small ones by their bound."""
    return "below 0.0001" if value < 0.0001 else f"{value:.4f}".rstrip("0").rstrip(".")


def measure(found: Mapping[str, Any], unit: str) -> str:
    """One arm's figure as `5.1 % [3.2 %, 8 %] 23/440`; `no data` when there is none.

    Args:
        found: value, low, high, n and events, as a guardrail reports them.
        unit: "share" of requests, "seconds", or "value" of a metric.
    """
    value = found.get("value")
    if value is None:
        return "no data"
    show = {"seconds": seconds, "value": number}.get(unit, share)
    text = f"{show(value)} {interval((found.get('low'), found.get('high')), show)}".rstrip()
    return f"{text} {found.get('events', 0)}/{found['n']}" if unit == "share" and found.get("n") else text


def improvement(found: Mapping[str, Any] | None, which: str) -> str:
    """By how much an experiment's variant is better: `+3.1 % [+1 %, +5 %]`, or why that is not known.

    Args:
        which: `absolute`, in the metric's unit, or `relative`.
    """
    if found is None:
        return "-"
    value = found[which]["value"]
    if value is None:
        return "no data"

    def show(end: float | None) -> str:
        if end is None:
            return "?"
        if which == "relative" or found["unit"] == "share":
            # Adding zero turns a negative zero into a plain one.
            return f"{end * 100 + 0.0:+.3g} %"
        return (
            f"{'-' if end < 0 else '+'}{seconds(abs(end))}" if found["unit"] == "seconds" else f"{end:+.4g}"
        )

    ends = [found[which][end] for end in ("low", "high")]
    return f"{show(value)} [{', '.join(map(show, ends))}]"


def interval(ends: Sequence[float | None] | None, show: Callable[[float | None], str]) -> str:
    """`[low, high]`; an end that the data do not give is a dash, without both there is nothing to show."""
    low, high = ends or (None, None)
    if high is not None and show is seconds and high >= _LATENCY_MAX:
        high = None
    if low is None and high is None:
        return ""
    return f"[{show(low)}, {show(high)}]"


def limit(threshold: float | None, unit: str) -> str:
    """A guardrail's configured limit: a share of requests, or how many times control's latency."""
    if threshold is None:
        return "-"
    if unit == "value":
        return f"{threshold:.4g} off"
    return f"x {threshold:.3g}" if unit == "seconds" else share(threshold)
