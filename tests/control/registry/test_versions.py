"""Versions: grammar, equality and order, against the order that the specification gives."""

import itertools

import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from control.errors import InvalidError
from control.registry.versions import parse_version

# Semantic Versioning 2.0.0, section 11, in order.
ORDERED = ["0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"]
ORDERED += ["1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "v2", "v9", "v10", "10.0.1"]

_identifiers = st.one_of(
    st.integers(0, 10**17).map(str), st.from_regex(r"[0-9A-Za-z-]{0,6}[A-Za-z-]", fullmatch=True)
)
_versions = st.builds(
    lambda numbers, parts: ".".join(map(str, numbers)) + (f"-{'.'.join(parts)}" if parts else ""),
    st.tuples(*[st.integers(0, 10**17)] * 3),
    st.lists(_identifiers, max_size=3),
)


@pytest.mark.parametrize(("lower", "higher"), list(itertools.pairwise(ORDERED)))
def test_known_defect_v9_was_newer_than_v10(lower: str, higher: str) -> None:
    """Versions compare as versions, not as text."""
    assert parse_version(lower, "semantic").rank < parse_version(higher, "semantic").rank


@given(_versions, _versions)
def test_ranks_order_as_the_library_does(one: str, other: str) -> None:
    """Bytes that a database sorts say the same as an independent comparison."""
    ranks = [parse_version(text, "semantic").rank for text in (one, other)]
    compared = semver.Version.parse(one).compare(other)

    assert (ranks[0] > ranks[1]) - (ranks[0] < ranks[1]) == compared


@pytest.mark.parametrize(("one", "other"), [("v1.0.0", "1.0.0"), ("1", "1.0.0"), ("V1.2", "1.2.0")])
def test_equal_versions_have_one_key(one: str, other: str) -> None:
    """A `v` in front and parts left out make no other version."""
    assert parse_version(one, "semantic").key == parse_version(other, "semantic").key
    assert parse_version(one, "semantic").text == one


@pytest.mark.parametrize(
    "text",
    [
        *("", "v", "one", "1.2.3.4", "01.0.0", "1.0.0-01", "1.0.0-", "-1.0.0", "1 .0", "1.0.0/../x"),
        *("9" * 19, "1.0.0-" + "a" * 200, "1.0.0\n", "１.0.0"),
    ],
)
def test_what_is_no_version_is_refused_with_a_remedy(text: str) -> None:
    """The error shows a version as it should be."""
    with pytest.raises(InvalidError, match=r"not a semantic version; write it like 1\.4\.0"):
        parse_version(text, "semantic")


def test_opaque_versions_are_words() -> None:
    """Any word passes, and nothing that could lead out of a path or a URL."""
    assert parse_version("2024-06-01_nightly+cuda", "opaque").key == "2024-06-01_nightly+cuda"
    for text in ("", "../x", "a/b", "a b", "a" * 200, ".hidden"):
        with pytest.raises(InvalidError):
            parse_version(text, "opaque")
