"""Layers: experiments of one layer share no key, experiments of two layers know nothing of each other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from proxy.compile import check_config
from proxy.plain import PlainError
from proxy.splits.base import Split
from proxy.splits.layers import Layer, LayerSpec, conflict, read_layer
from proxy.splits.spec import SplitConfigError
from tests.helpers.routing import arms_of, chosen, entry_of, load_routes, spec_of, split_of, user, view

KEYS = range(20_000)


def experiment(layer: str, start: str, end: str, **params: Any) -> Split:
    """A half-and-half experiment in a part of a layer."""
    given = {"salt": f"{layer}{start}", **params}
    variants = {"v2": 50, "v3": 50}
    return split_of(
        "hash",
        variants=variants,
        key="header:x-user",
        layer={"name": layer, "range": [start, end]},
        outside="v1",
        **given,
    )


def roles(split: Split) -> list[str]:
    """The role that each key gets."""
    return [split.choose(user(key)).role for key in KEYS]


def test_experiments_of_one_layer_never_share_a_request() -> None:
    """Of 20 000 keys none is in two experiments, and the layer is used up."""
    parts = [experiment("l", *bounds) for bounds in (("0%", "30%"), ("30%", "55%"), ("55%", "100%"))]

    inside = [[role == "variant" for role in roles(part)] for part in parts]

    shares = [sum(part) / len(KEYS) for part in inside]
    # Four standard deviations of a share of one half.
    assert shares == pytest.approx([0.30, 0.25, 0.45], abs=4 * (0.25 / len(KEYS)) ** 0.5)
    assert all(sum(found) == 1 for found in zip(*inside, strict=True))


def test_experiments_of_two_layers_are_independent() -> None:
    """Which variant somebody has in one layer says nothing about the variant in the other."""
    first, second = experiment("a", "0%", "100%"), experiment("b", "0%", "100%")

    pairs = Counter(zip(chosen(first, KEYS), chosen(second, KEYS), strict=True))

    expected = len(KEYS) / 4
    chi_square = sum((pairs[x, y] - expected) ** 2 / expected for x in ("v2", "v3") for y in ("v2", "v3"))
    # Three degrees of freedom: independent shares exceed 22 once in 16 000 choices of names.
    assert chi_square < 22, pairs


def test_membership_is_independent_of_assignment() -> None:
    """Inside a narrow part of the layer the variants still have their shares."""
    split = experiment("l", "10%", "20%")

    inside = Counter(arm.variant for arm in map(split.choose, map(user, KEYS)) if arm.role == "variant")

    total = inside.total()
    assert abs(total / len(KEYS) - 0.1) <= 4 * (0.09 / len(KEYS)) ** 0.5
    assert abs(inside["v2"] / total - 0.5) <= 4 * (0.25 / total) ** 0.5


def test_what_is_outside_goes_to_one_arm_of_its_own() -> None:
    """Also a request without a key, which has no place in any layer."""
    split = experiment("l", "0%", "1%")

    arm = split.choose(view())

    assert (arm.variant, arm.role) == ("v1", "stable")
    assert {a.variant for a in map(split.choose, map(user, KEYS)) if a.role == "stable"} == {"v1"}


def test_the_first_variant_takes_what_is_outside_unless_told_otherwise() -> None:
    """Left out, `outside` is the first variant."""
    spec = spec_of(
        "hash", variants={"v2": 1, "v1": 99}, key="cookie:u", layer={"name": "l", "range": [0, 0.5]}
    )

    assert [(v.upstream, v.role, v.weight) for v in spec.variants] == [
        ("v2", "variant", 0.01),
        ("v1", "variant", 0.99),
        ("v2", "stable", 0.0),
    ]


def test_an_epoch_moves_nobody_between_experiments() -> None:
    """A restarted experiment keeps its users; how they are divided changes."""
    first, again = experiment("l", "20%", "60%"), experiment("l", "20%", "60%", epoch=2)

    assert roles(first) == roles(again)
    assert chosen(first, KEYS) != chosen(again, KEYS)


def test_shares_that_change_move_the_fewest_keys_in_a_layer_too() -> None:
    """The arm for what is outside owns no range that could be mistaken for a variant's."""
    layer = {"name": "l", "range": [0, "100%"]}
    params: dict[str, Any] = {"key": "header:x-user", "salt": "s", "layer": layer}
    before = entry_of("hash", variants={"v1": 50, "v2": 25, "v3": 25}, **params)
    old = split_of("hash", variants={"v1": 50, "v2": 25, "v3": 25}, **params)
    new = split_of("hash", variants={"v1": 40, "v2": 35, "v3": 25}, before=before, **params)

    moves = Counter(
        pair for pair in zip(chosen(old, KEYS), chosen(new, KEYS), strict=True) if len(set(pair)) > 1
    )

    assert set(moves) == {("v1", "v2")}
    assert moves.total() / len(KEYS) == pytest.approx(0.1, abs=0.01)


def test_a_canary_in_a_layer_takes_its_share_of_its_part() -> None:
    """Canary and control slice both lie inside; everybody else is on stable."""
    split = split_of(
        "canary",
        at=0.25,
        stable="v1",
        canary="v2",
        key="header:x-user",
        layer={"name": "l", "range": ["50%", "100%"]},
    )

    counts = Counter(roles(split))

    slack = 4 * (0.25 * len(KEYS)) ** 0.5
    assert abs(counts["canary"] - 0.125 * len(KEYS)) <= slack
    assert abs(counts["control"] - 0.125 * len(KEYS)) <= slack


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        ("ranking", "does not give name and range"),
        ({"name": "l"}, "does not give name and range"),
        ({"name": 7, "range": [0, "100%"]}, "is not a short text"),
        ({"name": "l", "range": [0, 0.5, 1]}, "is not a start and an end"),
        ({"name": "l", "range": ["60%", "60%"]}, "ends where it starts"),
        ({"name": "l", "range": ["0%", "140%"]}, "outside 0% to 100%"),
    ],
)
def test_a_layer_that_says_nothing_is_refused(layer: object, problem: str) -> None:
    """Each mistake is named."""
    with pytest.raises(SplitConfigError, match=problem):
        spec_of("hash", variants={"v1": 50, "v2": 50}, key="cookie:u", layer=layer)


def test_outside_needs_a_layer() -> None:
    """Without a layer there is nothing outside."""
    with pytest.raises(SplitConfigError, match="no layer to be outside of"):
        spec_of("hash", variants={"v1": 50, "v2": 50}, key="cookie:u", outside="v1")


def test_a_table_may_not_hold_half_a_layer() -> None:
    """A malformed entry names its place."""
    with pytest.raises(PlainError, match=r"split\.layer\.to"):
        read_layer({"layer": {"name": "l", "from": 0.5, "to": 0.4}}, "split")


def test_the_end_of_a_layer_belongs_to_its_last_part() -> None:
    """A key whose hash rounds to 1 is in the part that ends at 100 %."""
    spec = spec_of(
        "hash", variants={"v1": 50, "v2": 50}, key="cookie:u", layer={"name": "l", "range": [0, "100%"]}
    )

    assert spec.layer == LayerSpec(name="l", start=0.0, end=1.0)
    assert all(Layer("l", 0.0, 1.0).holds(b"%d" % key) for key in KEYS)
    assert len(arms_of(spec)) == 3


def test_layers_of_different_names_are_never_in_conflict() -> None:
    """Overlap counts within one layer only."""
    a, b = LayerSpec(name="a", start=0, end=1), LayerSpec(name="b", start=0, end=1)

    assert conflict(a, ["client_address"], b, ["cookie:u"]) is None


ROUTES = """
  - name: one
    match: {path_prefix: /one}
    split: {kind: hash, variants: {v1: 50, v2: 50}, key: 'header:x-user', layer: {name: l, range: [0%, 50%]}}
  - name: two
    match: {path_prefix: /two}
    split: {kind: hash, variants: {v1: 50, v3: 50}, key: 'header:x-user', layer: {name: l, range: [50%, 80%]}}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("l, range: [50%", "l, range: [40%", "40% to 50% of layer 'l' is taken (route one); choose another"),
        (
            "'header:x-user', layer: {name: l, range: [50%",
            "'cookie:u', layer: {name: l, range: [50%",
            "not by",
        ),
    ],
)
def test_a_configuration_with_a_conflict_is_refused(old: str, new: str, expected: str) -> None:
    """Where the second one stands."""
    assert check_config(load_routes(ROUTES)) == []

    problems = [str(problem) for problem in check_config(load_routes(ROUTES.replace(old, new)))]

    assert len(problems) == 1
    assert "routes[1].split.layer" in problems[0]
    assert expected in problems[0]
