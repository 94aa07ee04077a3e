"""Interval bars as SVG, drawn on the server: a figure, how sure it is, and the limit it is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

_WIDTH: Final = 220.0
_ROW: Final = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One arm's figure; None for what is not known."""

    name: str
    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: str, measure: Mapping[str, Any]) -> "Bar":
        """The bar of a measure as the API shows it."""
        return cls(name=name, value=measure["value"], low=measure["low"], high=measure["high"])


def interval_bars(bars: Sequence[Bar], *, limit: float | None, label: str) -> Markup:
    """One row a bar on one scale from zero; empty without a single figure. *label* says it in words."""
    known = [bar for bar in bars if bar.value is not None]
    if not known:
        return Markup("")
    ends = [end for bar in known for end in (bar.value, bar.high) if end is not None]
    top = max([*ends, limit or 0.0]) * 1.08 or 1.0
    height = _ROW * len(bars)
    parts = [
        Markup('<svg class="bars" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(
            _WIDTH, height, label
        )
    ]
    for row, bar in enumerate(bars):
        parts += _row(bar, row * _ROW + _ROW / 2, top)
    if limit is not None:
        at = _at(limit, top)
        parts.append(
            Markup('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1:g}"/>').format(at, height)
        )
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def share_bar(set_weight: float, observed: float | None) -> Markup:
    """Set weight as a bar, observed weight as a mark on it."""
    parts = [
        Markup('<svg class="share" viewBox="0 0 100 10" role="img" aria-label="set {:.4g} %{}">').format(
            set_weight * 100, "" if observed is None else f", observed {observed * 100:.4g} %"
        ),
        Markup('<rect class="track" width="100" height="10"/>'),
        Markup('<rect class="set" width="{:.2f}" height="10"/>').format(set_weight * 100),
    ]
    if observed is not None:
        parts.append(
            Markup('<rect class="observed" x="{:.2f}" width="1.5" height="10"/>').format(
                min(98.5, observed * 100)
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])


def _row(bar: Bar, middle: float, top: float) -> list[Markup]:
    if bar.value is None:
        return []
    low, high = _at(bar.low or 0.0, top), _at(top if bar.high is None else bar.high, top)
    return [
        Markup('<rect class="interval {}" x="{:.1f}" y="{:g}" width="{:.1f}" height="6"/>').format(
            bar.name, low, middle - 3, max(1.0, high - low)
        ),
        Markup('<circle class="value {}" cx="{:.1f}" cy="{:g}" r="4"/>').format(
            bar.name, _at(bar.value, top), middle
        ),
    ]


def _at(value: float, top: float) -> float:
    return 4 + min(1.0, max(0.0, value / top)) * (_WIDTH - 8)
