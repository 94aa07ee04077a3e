"""The canary split: nested, sticky, with a control slice of its own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.plain import PlainError
from proxy.splits.base import Split
from proxy.splits.canary import CanarySplit
from tests.helpers.routing import arms_of, chosen, name_of, spec_of, split_of, view

KEYS = range(100_000)
WEIGHTS = st.one_of(st.sampled_from([0.0, 0.0001, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0]), st.floats(0, 1))


def canary(weight: float, **params: Any) -> Split:
    """A canary split of v1 and v2 by a header."""
    return split_of("canary", at=weight, stable="v1", canary="v2", key="header:x-user", **params)


def test_nobody_leaves_the_canary_as_it_grows() -> None:
    """Of 100 000 keys none leaves the canary while its weight goes from 1 % to all."""
    before: set[int] = set()

    for weight in (0.01, 0.05, 0.10, 0.25, 0.50, 1.00):
        arms = chosen(canary(weight), KEYS)
        now = {key for key, arm in zip(KEYS, arms, strict=True) if arm == "v2"}
        # Four standard deviations of a binomial share.
        assert abs(len(now) / len(KEYS) - weight) <= 4 * (weight * (1 - weight) / len(KEYS)) ** 0.5
        assert before <= now
        before = now
    assert len(before) == len(KEYS)


def test_nobody_leaves_control_for_stable_as_it_grows() -> None:
    """The control slice is nested as well, as long as there is as much of stable as of the canary."""
    before: set[int] = set()

    for weight in (0.01, 0.05, 0.10, 0.25, 0.50):
        arms = chosen(canary(weight), range(20_000))
        now = {key for key, arm in enumerate(arms) if arm == "v1/control"}
        assert now
        assert before <= now
        before = now


@pytest.mark.parametrize(
    ("weight", "shares"),
    [
        (0.0, (0.0, 1.0, 0.0)),
        (0.05, (0.05, 0.90, 0.05)),
        (0.5, (0.5, 0.0, 0.5)),
        (0.8, (0.8, 0.0, 0.2)),
        (1.0, (1.0, 0.0, 0.0)),
    ],
)
def test_control_is_as_large_as_the_canary(weight: float, shares: tuple[float, ...]) -> None:
    """Control gets as much as the canary, or what the canary leaves."""
    spec = CanarySplit.reweigh(spec_of("canary", stable="v1", canary="v2"), weight)

    assert [variant.weight for variant in spec.variants] == pytest.approx(shares)
    assert [variant.role for variant in spec.variants] == ["canary", "stable", "control"]


@settings(deadline=None)
@given(WEIGHTS)
def test_shares_add_up_and_hold(weight: float) -> None:
    """At any weight the shares add up to 1 and keys follow them."""
    split = canary(weight)
    counts = Counter(name_of(split.choose(view(b"x-user: %d" % key))) for key in range(2_000))

    # Six standard deviations: once in a thousand million examples.
    slack = 6 * (0.25 / 2_000) ** 0.5
    control = min(weight, 1 - weight)
    assert abs(counts["v2"] / 2_000 - weight) <= slack
    assert abs(counts["v1/control"] / 2_000 - control) <= slack
    if weight == 0:
        assert set(counts) == {"v1"}
    if weight == 1:
        assert set(counts) == {"v2"}


def test_smallest_weight() -> None:
    """One request in ten thousand is a weight like any other."""
    arms = Counter(chosen(canary(0.0001), range(200_000)))

    # 20 expected of each; outside 4..44 once in a hundred thousand salts.
    assert 4 <= arms["v2"] <= 44
    assert 4 <= arms["v1/control"] <= 44


def test_without_control() -> None:
    """The slice can be left out; stable then has the rest."""
    arms = Counter(chosen(canary(0.2, control=False), range(5_000)))

    assert set(arms) == {"v1", "v2"}
    assert 850 <= arms["v2"] <= 1150


def test_request_without_a_key_goes_to_stable() -> None:
    """Who cannot be recognised stays where it is safe; a default key makes them one user."""
    assert {name_of(canary(0.5).choose(view())) for _ in range(50)} == {"v1"}
    assert {name_of(canary(0.5, default_key=str(n)).choose(view())) for n in range(50)} == {
        "v2",
        "v1/control",
    }


def test_another_epoch_or_salt_assigns_anew() -> None:
    """After a rollback, or for another release, other users go first."""
    keys = range(20_000)
    first = chosen(canary(0.1), keys)
    later = chosen(canary(0.1, epoch=2), keys)
    other = chosen(canary(0.1, salt="other"), keys)

    for arms in (later, other):
        both = sum(a == b == "v2" for a, b in zip(first, arms, strict=True))
        # 200 of 20 000 are expected by chance; 130..270 is five standard deviations.
        assert 130 <= both <= 270


def test_default_salt_names_route_canary_and_release() -> None:
    """Experiments differ by themselves, without anybody inventing salts."""
    spec = spec_of("canary", stable="v1", canary="v2")

    salts = {
        CanarySplit.default_salt(spec, route, {"v2": release}) for route in "ab" for release in ("m:1", "m:2")
    }

    assert len(salts) == 4


def test_key_is_the_address_unless_told_otherwise() -> None:
    """A first split needs no key: clients stay where they are by their address."""
    spec = spec_of("canary", stable="v1", canary="v2", weight="5%")

    assert spec.key == ("client_address",)
    assert spec.variants[0].weight == 0.05


def test_arms_of_other_roles_are_refused() -> None:
    """A table whose arms do not play the parts of this kind is malformed."""
    arms = arms_of(spec_of("random", variants={"v1": 50, "v2": 50}))
    entry = {"weights": [0.5, 0.5], "salt": "s", "key": ["header:a"]}

    with pytest.raises(PlainError, match="must be canary, stable and control"):
        CanarySplit.from_table(entry, arms, "split")
