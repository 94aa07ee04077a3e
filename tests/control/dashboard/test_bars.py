"""Interval bars: to scale, in words too, and nothing where nothing is known."""

import re

from control.dashboard.bars import Bar, interval_bars, share_bar


def bar(name: str, value: float | None, low: float | None, high: float | None) -> Bar:
    return Bar(name=name, value=value, low=low, high=high)


def test_bars_share_one_scale() -> None:
    """A figure twice as large lies twice as far to the right."""
    svg = str(
        interval_bars(
            [bar("canary", 0.04, 0.02, 0.08), bar("control", 0.02, 0.01, 0.04)], limit=0.06, label="words"
        )
    )
    canary, control = [float(x) - 4 for x in re.findall(r'cx="([\d.]+)"', svg)]

    assert abs(canary / control - 2) < 0.02
    assert 'class="limit"' in svg
    assert 'aria-label="words"' in svg


def test_without_a_figure_there_is_no_bar() -> None:
    """No data draws nothing, rather than a bar at zero."""
    assert interval_bars([bar("canary", None, None, None)], limit=0.5, label="x") == ""
    one = str(
        interval_bars([bar("canary", None, None, None), bar("control", 0.1, 0.0, 0.2)], limit=None, label="")
    )
    assert one.count("<circle") == 1


def test_open_ends_and_zeros_can_be_drawn() -> None:
    """An interval without an upper end goes to the edge; all zero is no division by zero."""
    assert "<rect" in interval_bars([bar("canary", 0.1, None, None)], limit=None, label="")
    assert "<circle" in interval_bars([bar("canary", 0.0, 0.0, 0.0)], limit=None, label="")


def test_what_is_shown_is_escaped() -> None:
    """A name from a configuration cannot become markup."""
    svg = interval_bars([bar('"><script>', 0.1, 0.0, 0.2)], limit=None, label='"><script>')

    assert "<script>" not in svg


def test_the_observed_share_is_marked_when_there_is_one() -> None:
    """Set and observed beside each other."""
    assert "observed 12 %" in share_bar(0.1, 0.12)
    assert 'class="observed"' not in share_bar(0.1, None)
