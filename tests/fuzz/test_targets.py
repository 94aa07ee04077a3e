"""The targets hold for inputs that were thought of; `make fuzz` goes on with others."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import corpus
from tests.fuzz.guided import fuzz
from tests.fuzz.targets import TARGETS, followed, splits


@pytest.mark.parametrize("name", list(TARGETS))
def test_target_holds(name: str) -> None:
    """A hundred inputs of a fixed seed; `make fuzz` takes longer and another seed each time."""
    tried, reached = fuzz(TARGETS[name], corpus(name), 7, inputs_max=100)

    assert tried == 100
    assert reached > 20


@pytest.mark.parametrize("data", corpus("splits"))
def test_known_bodies_are_the_same_in_any_pieces(data: bytes) -> None:
    """All of them, whatever the time."""
    splits(data)


def test_pieces_are_followed() -> None:
    """Content and end, over pieces."""
    assert followed([b"3\r", b"\nab", b"c\r\n0\r\n\r\nnext"]) == (b"abc", 13)
    assert followed([b"3\r\nab"]) == (b"ab", -1)
    assert followed([b"x\r\n"]) == (b"", -2)
