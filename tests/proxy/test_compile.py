"""Configuration becomes a table, and what does not fit is told with its place."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from config.load import config_digest
from proxy.compile import RouteState, check_config, compile_table
from proxy.splits.spec import SplitConfigError
from proxy.table import RoutingTable
from tests.helpers.routing import load_routes, name_of, user

CANARY = """
  - name: r
    split: {kind: canary, stable: v1, canary: v2, weight: 5%, key: 'header:x-user'}
    override: {allow: [v1, v2]}
"""
HASH = """
  - name: r
    split: {kind: hash, variants: {v1: 50, v2: 30, v3: 20}, key: 'header:x-user', salt: s}
"""


def compiled(
    routes: str, state: RouteState | None = None, previous: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The table of a configuration with one route `r`."""
    states = {} if state is None else {"r": state}
    config = load_routes(routes).config
    return compile_table(config, revision=7, states=states, previous=previous)


def who(table: dict[str, Any], count: int = 5_000) -> list[str]:
    """Who gets each of the first users on the first route."""
    route = RoutingTable.from_json(table).routes[0]
    return [name_of(route.assign(user(key))) for key in range(count)]


def problems(routes: str, top: str = "") -> list[str]:
    """What `check_config` has to say."""
    return [str(problem) for problem in check_config(load_routes(routes, top=top))]


def test_table_is_plain_json() -> None:
    """A table survives JSON unchanged, and knows where it comes from."""
    config = load_routes(CANARY).config
    table = compile_table(config, revision=7, states={})

    assert json.loads(json.dumps(table)) == table
    assert table["revision"] == 7
    assert table["config_digest"] == config_digest(config)
    assert compile_table(config, revision=7, states={}, digest="sha256:x")["config_digest"] == "sha256:x"


def test_canary_entry() -> None:
    """The canary's range comes first, control's last; the arms stand in the order stable, control, canary."""
    table = compiled(CANARY)

    assert [(a["variant"], a["role"], a["upstream"]) for a in table["arms"]] == [
        ("v1", "stable", 0),
        ("v1", "control", 0),
        ("v2", "canary", 1),
    ]
    split = table["routes"][0]["split"]
    assert split["arms"] == [2, 0, 1]
    assert split["weights"] == pytest.approx([0.05, 0.9, 0.05])
    assert split["key"] == ["header:x-user"]
    assert split["salt"] == "r/v2/m:v2"
    assert table["routes"][0]["override"]["values"] == {"v1": 0, "v2": 2}
    assert table["routes"][0]["divert"]["arm"] == 2
    assert "slot" not in table["arms"][0]


def test_weight_of_the_rollout_replaces_the_configured_one() -> None:
    """What the control loop says goes into the table, with its stage, epoch and salt."""
    state = RouteState(canary_weight=0.25, stage="abc:3:1", epoch=4, salt="given")
    table = compiled(CANARY, state)

    split = table["routes"][0]["split"]
    assert split["weights"] == pytest.approx([0.25, 0.5, 0.25])
    assert (split["epoch"], split["salt"]) == (4, "given")
    assert {arm["stage"] for arm in table["arms"]} == {"abc:3:1"}


def test_configured_salt_goes_before_any_other() -> None:
    """An operator's salt is what counts."""
    routes = CANARY.replace("weight: 5%", "weight: 5%, salt: mine")

    assert compiled(routes, RouteState(salt="given"))["routes"][0]["split"]["salt"] == "mine"


def test_rolled_back_canary_is_unreachable() -> None:
    """After a rollback the canary has no share, no override and no divert, whatever weight is asked for."""
    table = compiled(CANARY, RouteState(canary_weight=0.5, rolled_back=True, epoch=2))

    assert table["routes"][0]["split"]["weights"] == [0.0, 1.0, 0.0]
    assert table["routes"][0]["override"]["values"] == {"v1": 0}
    assert "divert" not in table["routes"][0]
    assert set(who(table)) == {"v1"}


def test_promoted_canary_has_everything() -> None:
    """At full weight every user is on the canary."""
    assert set(who(compiled(CANARY, RouteState(canary_weight=1.0)))) == {"v2"}


def test_state_of_a_route_without_canary_changes_only_the_names() -> None:
    """A weight means nothing to a split that has no canary."""
    table = compiled(HASH, RouteState(canary_weight=0.5, stage="x"))

    assert table["routes"][0]["split"]["weights"] == [0.5, 0.3, 0.2]
    assert table["arms"][0]["stage"] == "x"


def test_stage_follows_the_weights() -> None:
    """Without a rollout the stage changes when the weights do, and only then."""
    stages = [
        compiled(routes)["arms"][0]["stage"]
        for routes in (CANARY, CANARY.replace("5%", "6%"), CANARY.replace("x-user", "x-other"))
    ]

    assert stages[0] != stages[1]
    assert stages[0] == stages[2]


def test_routes_have_salts_of_their_own() -> None:
    """Two routes with the same split divide the same users independently."""
    second = HASH.replace("name: r", "name: q, match: {path: /q}").replace(", salt: s", "")
    routes = second.replace("name: q, match: {path: /q}", "name: q\n    match: {path: /q}")
    table = RoutingTable.from_json(compiled(routes + HASH.replace(", salt: s", "")))

    pairs = Counter(
        (table.routes[0].assign(user(key)).variant, table.routes[1].assign(user(key)).variant)
        for key in range(10_000)
    )

    # 30 % of 30 %: 900 expected, five standard deviations are 143.
    assert abs(pairs["v2", "v2"] - 900) < 143


def test_reload_moves_only_the_keys_that_must_move() -> None:
    """With the table before at hand, new shares move the theoretical minimum of users."""
    before = compiled(HASH)
    after = compiled(HASH.replace("v1: 50, v2: 30, v3: 20", "v1: 50, v2: 20, v3: 30"), previous=before)

    moved = [(a, b) for a, b in zip(who(before), who(after), strict=True) if a != b]

    assert set(moved) == {("v2", "v3")}
    # 500 expected, five standard deviations are 106.
    assert abs(len(moved) - 500) < 106


def test_reload_without_the_table_before_still_works() -> None:
    """A route that is new, or had another kind, starts from the layout of a split without a past."""
    fresh = compiled(HASH)

    for previous in (None, compiled(CANARY), compiled(CANARY.replace("name: r", "name: q"))):
        assert compiled(HASH, previous=previous) == fresh


def test_unknown_kind_does_not_compile() -> None:
    """A configuration that was never checked is refused like a split of any other fault."""
    with pytest.raises(SplitConfigError, match="there is no kind 'dice'"):
        compiled(HASH.replace("kind: hash", "kind: dice"))


def test_control_can_be_left_out() -> None:
    """Without the slice there are two arms."""
    table = compiled(CANARY.replace("weight: 5%", "weight: 5%, control: false"))

    assert [arm["role"] for arm in table["arms"]] == ["stable", "canary"]
    assert RoutingTable.from_json(table).routes[0].arms[0].role == "canary"


def test_divert_can_be_switched_off() -> None:
    """Without it nothing is diverted."""
    assert "divert" not in compiled(CANARY + "    divert: {enabled: false}\n")["routes"][0]


def test_short_form_is_a_direct_split() -> None:
    """`upstream: v1` is the same as a split of kind direct."""
    short = compiled("\n  - {name: r, upstream: v1}\n")
    long = compiled("\n  - {name: r, split: {kind: direct, upstream: v1}}\n")

    assert short["routes"] == long["routes"]
    assert short["arms"] == long["arms"]


def test_good_configuration_has_no_problems() -> None:
    """Nothing is found where nothing is wrong."""
    assert problems(CANARY) == []
    assert problems(HASH) == []


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (
            CANARY.replace("canary: v2", "canary: v9"),
            ":12:47: routes[0].split.canary: there is no upstream 'v9'",
        ),
        (CANARY.replace("5%", "500%"), "routes[0].split.weight: '500%' is outside 0% to 100%"),
        (
            CANARY.replace("kind: canary", "kind: canari"),
            "routes[0].split.kind: there is no kind 'canari'; use one of",
        ),
        (
            CANARY.replace("[v1, v2]", "[v1, v3]"),
            "routes[0].override.allow[1]: 'v3' is not a variant of this route",
        ),
        (HASH.replace("20}", "30}"), "routes[0].split.variants: the shares add up to 110, not to 100"),
        (HASH.replace("v3: 20", "v9: 20"), "routes[0].split.variants.v9: there is no upstream 'v9'"),
        (HASH.replace("'header:x-user'", "[jwt:sub, x]"), "routes[0].split.key[1]: 'x' is not a key"),
        (
            HASH + "    match: {path_prefix: '/a/..%2fb'}\n",
            "routes[0].match.path_prefix: '/a/..%2fb' has no single meaning",
        ),
        (HASH + "    rollout: {preset: balanced}\n", "routes[0].rollout: a hash split has no canary to ramp"),
    ],
)
def test_problem_is_told_with_its_place(routes: str, expected: str) -> None:
    """What is wrong is named with file, line, column, path and remedy."""
    found = problems(routes)

    assert len(found) == 1
    assert found[0].startswith("headgate.yaml:")
    assert expected in found[0]
    assert "; " in found[0]


def test_body_key_needs_the_body() -> None:
    """A key inside the body is of no use where bodies may not be looked into."""
    routes = HASH.replace("'header:x-user'", "'json:/user'")

    found = problems(routes, top="limits: {inspect_bytes: 0}")

    assert [p.split(": ", 1)[1].split(";")[0] for p in found] == [
        "routes[0].split.key: json:/user looks into the body, which limits.inspect_bytes 0 forbids"
    ]


def test_all_problems_of_all_routes_are_told() -> None:
    """One look shows everything, in the order of the file."""
    second = HASH.replace("name: r", "name: q").replace("20}", "30}").replace("'header:x-user'", "x")

    found = problems(CANARY.replace("5%", "500%") + "    match: {path: /x}\n" + second)

    assert [p.split(": ")[1] for p in found] == [
        "routes[0].split.weight",
        "routes[1].split.variants",
        "routes[1].split.key",
    ]
