"""Durations, shares, sizes and names are read as people mean them, and refused with a way out."""

from __future__ import annotations

import math
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.values import (
    FRACTION_MIN,
    InvalidValueError,
    format_duration,
    format_fraction,
    format_size,
    parse_cookie_name,
    parse_duration,
    parse_fraction,
    parse_header_name,
    parse_name,
    parse_size,
    shown,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("55us", 0.000055),
        ("0.1s", 0.1),
        ("1m30s", 90.0),
        (" 5s ", 5.0),
        ("1.5", 1.5),
        (0, 0.0),
        (3, 3.0),
        (0.25, 0.25),
        ("366d", 31622400.0),
    ],
)
def test_durations_are_seconds(written: object, seconds: float) -> None:
    """Each form gives exactly the float that the same number of seconds has."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "5 s",
            "'5 s' is not a duration; write a number of seconds or a duration such as 250ms, 5s, 2m or 1h",
        ),
        ("5sec", "'5sec' is not a duration; write a number of seconds or a duration such as"),
        ("", "'' is not a duration; write"),
        ("-5s", "'-5s' is not a duration; write"),
        ("٣s", "'٣s' is not a duration; write"),
        (-1, "-1 is outside 0s to 366d; write"),
        ("367d", "'367d' is outside 0s to 366d; write"),
        (math.inf, "inf is outside 0s to 366d; write"),
        (math.nan, "nan is outside 0s to 366d; write"),
        (10**400, "a huge number is outside 0s to 366d; write"),
        (True, "true is not a duration; write"),
        (None, "nothing is not a duration; write"),
        (["5s"], "a list is not a duration; write"),
        ({"a": 1}, "a mapping is not a duration; write"),
    ],
)
def test_what_is_no_duration_is_refused(written: object, message: str) -> None:
    """The message shows the value and what to write instead."""
    with pytest.raises(InvalidValueError) as caught:
        parse_duration(written)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("written", "fraction"),
    [
        ("5%", 0.05),
        ("7%", 0.07),
        ("0.01%", 0.0001),
        ("33.3 %", 0.333),
        ("100%", 1.0),
        ("0%", 0.0),
        (0.05, 0.05),
        (1.0, 1.0),
        (0, 0.0),
        ("0.05", 0.05),
        ("1e-3", 0.001),
    ],
)
def test_shares_are_fractions(written: object, fraction: float) -> None:
    """A percentage is exactly the float of the same fraction, without a rounding of its own."""
    assert parse_fraction(written) == fraction


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (5, "5 is more than everything; write 5% if that is what is meant"),
        (12.5, "12.5 is more than everything; write 12.5% if that is what is meant"),
        (1, "1 could mean 1% or all of it; write 1% or 100%"),
        ("1", "1 could mean 1% or all of it; write 1% or 100%"),
        ("101%", "'101%' is outside 0% to 100%; write a percentage such as 5% or a fraction such as 0.05"),
        (-0.1, "-0.1 is outside 0% to 100%; write"),
        (10**400, "a huge number is outside 0% to 100%; write"),
        (math.nan, "nan is outside 0% to 100%; write"),
        ("0.001%", "'0.001%' is too small a share; write 0 or at least 0.01%"),
        (0.00009, "9e-05 is too small a share; write 0 or at least 0.01%"),
        ("half", "'half' is not a share; write"),
        (True, "true is not a share; write"),
        (None, "nothing is not a share; write"),
    ],
)
def test_what_is_no_share_is_refused(written: object, message: str) -> None:
    """Above all a number that could mean percent or fraction is never guessed."""
    with pytest.raises(InvalidValueError) as caught:
        parse_fraction(written)

    assert str(caught.value).startswith(message)


@given(st.integers(1, 100_000))
def test_every_percentage_is_the_nearest_float(thousandths: int) -> None:
    """x% is float(x/100) in exact arithmetic, for every x that can be written with three decimals."""
    percent = Decimal(thousandths) / 1000
    if percent < Decimal("0.01"):
        return

    assert parse_fraction(f"{percent}%") == float(percent / 100)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("64KiB", 65536),
        ("64kib", 65536),
        ("10MB", 10_000_000),
        ("1.5MB", 1_500_000),
        ("1 GiB", 2**30),
        ("0", 0),
        (4096, 4096),
        ("7b", 7),
    ],
)
def test_sizes_are_bytes(written: object, size: int) -> None:
    """Binary and decimal units are what their names say."""
    assert parse_size(written) == size


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("64K", "'64K' is not a size; write a whole number of bytes or a size such as 64KiB, 10MB or 1GiB"),
        ("1.5", "'1.5' is not a whole number of bytes; write"),
        (1.5, "1.5 is not a size; write"),
        (-1, "-1 is outside 0 to 1024TiB; write"),
        ("2000TiB", "'2000TiB' is outside 0 to 1024TiB; write"),
        (False, "false is not a size; write"),
    ],
)
def test_what_is_no_size_is_refused(written: object, message: str) -> None:
    """A unit that could mean two things is refused rather than guessed."""
    with pytest.raises(InvalidValueError) as caught:
        parse_size(written)

    assert str(caught.value).startswith(message)


@given(st.floats(0, 366 * 86400.0))
def test_a_duration_that_is_written_is_read_back(seconds: float) -> None:
    """Writing loses nothing, whatever the number."""
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.just(0.0) | st.floats(FRACTION_MIN, 1))
def test_a_share_that_is_written_is_read_back(fraction: float) -> None:
    """Writing loses nothing, whatever the number."""
    assert parse_fraction(format_fraction(fraction)) == fraction


@given(st.integers(0, 2**50))
def test_a_size_that_is_written_is_read_back(size: int) -> None:
    """Writing loses nothing, whatever the number."""
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (0.25, "250ms"), (90.0, "90s"), (3600.0, "1h"), (1e-5, "10us")]
)
def test_durations_are_written_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    """People read 1h sooner than 3600s."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize("name", ["a", "fraud", "v1.0-rc_2", "A" * 64, "0"])
def test_names_are_kept(name: str) -> None:
    """A name stands as it is in headers, URLs and labels."""
    assert parse_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a.", "a b", "ä", "A" * 65, "a/b", "a\n", None, ["a"]])
def test_what_is_no_name_is_refused(name: object) -> None:
    """The message lists what a name may hold."""
    with pytest.raises(InvalidValueError, match=r"is not a name; use up to 64 letters, digits"):
        parse_name(name)


def test_a_number_as_a_name_needs_quotes() -> None:
    """An upstream that is called 2 is text in quotes."""
    with pytest.raises(InvalidValueError, match="2 is not a name; put it in quotes"):
        parse_name(2)


def test_header_names_lose_their_case_and_cookie_names_keep_it() -> None:
    """Headers are compared without case, cookies with it."""
    assert parse_header_name("X-Request-ID") == "x-request-id"
    assert parse_cookie_name("UserId") == "UserId"


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", 3, "x" * 129])
def test_what_is_no_token_is_refused(name: object) -> None:
    """A name with a space or colon would break the message it stands in."""
    with pytest.raises(InvalidValueError, match="is not a header name; write a token such as x-request-id"):
        parse_header_name(name)
    with pytest.raises(InvalidValueError, match="is not a cookie name; write a token such as session_id"):
        parse_cookie_name(name)


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans() | st.lists(st.integers()))
def test_readers_raise_nothing_else(value: object) -> None:
    """Whatever stands in a file, the answer is a value or an InvalidValueError."""
    for read in (parse_duration, parse_fraction, parse_size, parse_name, parse_header_name):
        with suppress(InvalidValueError):
            read(value)


def test_messages_never_show_a_credential_or_a_wall_of_text() -> None:
    """What looks like user:password@host is not repeated, and what is long is cut."""
    assert "secret" not in shown("http://user:secret@host")
    assert len(shown("x" * 500)) == 80


def test_a_problem_can_be_told_without_its_value() -> None:
    """For a value that must not be shown there are other words."""
    with pytest.raises(InvalidValueError) as caught:
        parse_duration("hunter2")

    assert caught.value.said_of("${PASSWORD}") == "${PASSWORD} is not a duration"
