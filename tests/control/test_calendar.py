"""Freeze windows: by the week, over midnight, through a change of the clocks, once; and chains of them."""

from __future__ import annotations

from datetime import datetime

import pytest

from control.calendar import Freeze, frozen


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


WEEKEND = Freeze.from_plain(
    {"name": "weekend", "days": ["fri"], "from": "18:00", "to": "08:00", "time_zone": "Europe/Berlin"}
)
NIGHT = Freeze.from_plain({"name": "night", "from": "22:00", "to": "06:00"})
SALE = Freeze.from_plain(
    {"name": "sale", "since": "2026-11-27T00:00:00+00:00", "until": "2026-11-30T06:00:00+00:00"}
)


@pytest.mark.parametrize(
    ("freeze", "moment", "end"),
    [
        (WEEKEND, "2026-11-20T16:59:59+00:00", None),
        (WEEKEND, "2026-11-20T17:00:00+00:00", "2026-11-21T07:00:00+00:00"),
        (WEEKEND, "2026-11-21T06:59:59+00:00", "2026-11-21T07:00:00+00:00"),
        (WEEKEND, "2026-11-21T07:00:00+00:00", None),
        (WEEKEND, "2026-11-21T18:00:00+00:00", None),
        # In summer the same wall time is an hour earlier in UTC.
        (WEEKEND, "2026-07-17T16:00:00+00:00", "2026-07-18T06:00:00+00:00"),
        (NIGHT, "2026-11-22T23:30:00+00:00", "2026-11-23T06:00:00+00:00"),
        (NIGHT, "2026-11-23T05:59:00+00:00", "2026-11-23T06:00:00+00:00"),
        (NIGHT, "2026-11-23T12:00:00+00:00", None),
        (SALE, "2026-11-26T23:59:59+00:00", None),
        (SALE, "2026-11-28T12:00:00+00:00", "2026-11-30T06:00:00+00:00"),
        (SALE, "2026-11-30T06:00:00+00:00", None),
    ],
)
def test_a_window_is_open_from_its_first_to_before_its_last_second(
    freeze: Freeze, moment: str, end: str | None
) -> None:
    """Hours are read in the window's own time zone."""
    assert freeze.ends(at(moment)) == (None if end is None else at(end))


def test_windows_that_follow_each_other_are_one() -> None:
    """A person wants to know when it goes on, not when the first of several ends."""
    found = frozen([WEEKEND, NIGHT, SALE], at("2026-11-27T21:00:00+00:00"))

    assert found is not None
    assert found.until == at("2026-11-30T06:00:00+00:00")
    assert found.text == f"freeze {found.name!r} lasts until 2026-11-30 06:00 UTC"
    assert frozen([WEEKEND, NIGHT, SALE], at("2026-11-30T06:00:00+00:00")) is None


def test_a_freeze_that_never_ends_is_not_said_to_end() -> None:
    """Every hour of every day, in one window or in two: no date is made up for it."""
    noon = at("2026-11-22T12:00:00+00:00")
    always = Freeze.from_plain({"name": "always"})
    halves = [
        Freeze.from_plain({"name": "am", "to": "12:00"}),
        Freeze.from_plain({"name": "pm", "from": "12:00"}),
    ]

    for freezes, name in (([always], "always"), ([NIGHT, always], "always"), (halves, "pm")):
        found = frozen(freezes, noon)
        assert found is not None
        assert found.until is None
        assert found.text == f"freeze {name!r} lasts until the configuration ends it: no other end is known"


def test_a_freeze_that_lasts_for_years_keeps_its_end() -> None:
    """An end that was written down is known, however far away it is."""
    plain = {"name": "retired", "since": "2026-01-01T00:00:00+00:00", "until": "2031-01-01T00:00:00+00:00"}

    found = frozen([Freeze.from_plain(plain)], at("2026-11-22T12:00:00+00:00"))

    assert found is not None
    assert found.text == "freeze 'retired' lasts until 2031-01-01 00:00 UTC"
