"""Plain values are read with their type or refused with their place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy import plain


@pytest.mark.parametrize(
    ("read", "value", "text"),
    [
        (plain.mapping, 5, "x: must be an object, not a number"),
        (plain.mapping, {1: 2}, "x: has a key that is not a string: 1"),
        (plain.items, "a", "x: must be an array, not a string"),
        (plain.text, None, "x: must be a string, not null"),
        (plain.texts, ["a", []], "x[1]: must be a string, not an array"),
        (plain.integer, 1.0, "x: must be an integer, not a number"),
        (plain.integer, -1, "x: must be at least 0, not -1"),
        (plain.number, True, "x: must be a number, not a boolean"),
        (plain.number, float("inf") * -1, "x: must be from 0 to inf, not -inf"),
        (plain.flag, 1, "x: must be true or false, not a number"),
        (plain.flag, {}, "x: must be true or false, not an object"),
    ],
)
def test_wrong_values_are_refused(read: Callable[[object, str], object], value: object, text: str) -> None:
    """The error says where, what was wanted and what was found."""
    with pytest.raises(plain.PlainError) as caught:
        read(value, "x")

    assert str(caught.value) == text


def test_right_values_are_returned() -> None:
    """Values of the right type come back as they are; whole numbers may stand for fractions."""
    assert plain.mapping({"a": 1}, "x") == {"a": 1}
    assert plain.items((1, 2), "x") == [1, 2]
    assert plain.texts(["a"], "x") == ["a"]
    assert plain.integer(7, "x", least=7) == 7
    assert plain.number(2, "x") == 2.0
    assert plain.flag(False, "x") is False
    assert plain.required({"a": None}, "a", "x") is None


def test_missing_value_is_named() -> None:
    """A key that has to be there is named when it is not."""
    with pytest.raises(plain.PlainError, match=r"^x\.a: is missing$"):
        plain.required({}, "a", "x")
