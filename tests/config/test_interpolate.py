"""Variables are filled in by a grammar so small that nothing surprising can be written in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.interpolate import VALUE_MAX, interpolate
from config.values import InvalidValueError

ENVIRON = {"A": "1", "EMPTY": "", "B_2": "two", "NESTED": "${A}"}


@pytest.mark.parametrize(
    ("text", "expected", "variables"),
    [
        ("plain", "plain", ()),
        ("${A}", "1", ("A",)),
        ("x${A}y${B_2}z", "x1ytwoz", ("A", "B_2")),
        ("${EMPTY}", "", ("EMPTY",)),
        ("${EMPTY:-d}", "d", ("EMPTY",)),
        ("${MISSING:-d}", "d", ("MISSING",)),
        ("${MISSING:-}", "", ("MISSING",)),
        ("${MISSING:-http://a:1/?x=$y}", "http://a:1/?x=$y", ("MISSING",)),
        ("$${A}", "${A}", ()),
        ("$$${A}", "$${A}", ()),
        ("$A $ $$", "$A $ $$", ()),
        ("^/v[12]$", "^/v[12]$", ()),
        ("${NESTED}", "${A}", ("NESTED",)),
    ],
)
def test_references(text: str, expected: str, variables: tuple[str, ...]) -> None:
    """Each form gives its value once; what a variable holds is not looked into again."""
    filled = interpolate(text, ENVIRON)

    assert (filled.text, filled.variables) == (expected, variables)


def test_a_missing_variable_is_an_error() -> None:
    """Nothing is not a default."""
    with pytest.raises(InvalidValueError) as caught:
        interpolate("${MISSING}", ENVIRON)

    message = "the environment variable MISSING is not set; set it, or write ${MISSING:-default}"
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:-${B}}", "${a b}", "x ${é}"])
def test_a_broken_reference_is_an_error(text: str) -> None:
    """A slip is not taken for text, and nesting is not half understood."""
    with pytest.raises(InvalidValueError) as caught:
        interpolate(text, ENVIRON)

    assert "is not a reference to a variable; write ${NAME} or ${NAME:-default}; $${ stands for" in str(
        caught.value
    )


def test_a_variable_of_any_size_is_not_taken() -> None:
    """A file that was put into a variable by mistake is refused."""
    with pytest.raises(InvalidValueError, match="variable A is too long; use at most 65536 characters"):
        interpolate("${A}", {"A": "x" * (VALUE_MAX + 1)})


@given(st.text(alphabet="${}:-Aa1 \n", max_size=30))
def test_escaping_keeps_any_text(text: str) -> None:
    """Whatever a value holds, `$${` for `${` brings it through unchanged."""
    assert interpolate(text.replace("${", "$${"), {}).text == text
