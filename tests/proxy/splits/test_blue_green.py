"""Blue-green: all or nothing, with a look at the dark colour."""

from __future__ import annotations

from typing import Any

import pytest

from config.load import load_text
from proxy.compile import RouteState, check_config, compile_table
from proxy.plain import PlainError
from proxy.splits.base import Split
from proxy.splits.spec import SplitConfigError
from proxy.table import RoutingTable
from tests.helpers.routing import arms_of, load_routes, spec_of, split_of, user, view


def blue_green(**params: Any) -> Split:
    """A split of v1 (blue) and v2 (green)."""
    return split_of("blue_green", blue="v1", green="v2", **params)


@pytest.mark.parametrize(
    ("live", "at", "expected"),
    [
        ("blue", None, "v1"),
        ("green", None, "v2"),
        ("blue", 0.0, "v1"),
        ("blue", 0.99, "v1"),
        ("blue", 1.0, "v2"),
        ("green", 1.0, "v1"),
    ],
)
def test_one_colour_has_every_request(live: str, at: float | None, expected: str) -> None:
    """At every weight all keys go to one colour; only the full weight swaps."""
    split = blue_green(live=live, at=at)

    assert {split.choose(user(key)).variant for key in range(1_000)} == {expected}
    assert not split.needs_view


def test_the_preview_header_reaches_the_dark_colour() -> None:
    """Whichever it is; and such a request is left out of statistics."""
    for at, dark in ((0.0, "v2"), (1.0, "v1")):
        split = blue_green(at=at, preview="X-Preview")
        request = view(b"x-preview: 1")
        assert split.choose(request).variant == dark
        assert request.overridden
        other = view(b"x-other: 1")
        assert split.choose(other).variant != dark
        assert not other.overridden


def test_the_roles_follow_the_configuration() -> None:
    """What is live is stable, so that a controller's weight 1 means the other colour."""
    spec = spec_of("blue_green", blue="v1", green="v2", live="green")

    assert [(v.upstream, v.role, v.weight) for v in spec.variants] == [
        ("v1", "canary", 0.0),
        ("v2", "stable", 1.0),
    ]


def test_nothing_reaches_a_colour_that_was_rolled_back() -> None:
    """Not even the preview header, and the live colour has all."""
    routes = """
  - name: r
    split: {kind: blue_green, blue: v1, green: v2, preview: x-preview}
"""
    state = RouteState(canary_weight=1.0, rolled_back=True)
    table = RoutingTable.from_json(compile_table(load_routes(routes).config, revision=1, states={"r": state}))

    assert table.routes[0].assign(view(b"x-preview: 1")).variant == "v1"


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"green": "v1"}, "'v1' is blue, too"),
        ({"live": "red"}, "is not blue or green"),
        ({"preview": "a b"}, "is not a header name"),
        ({"green": "v9"}, "there is no upstream 'v9'"),
    ],
)
def test_what_cannot_be_meant_is_refused(params: dict[str, Any], problem: str) -> None:
    """Each mistake is named."""
    with pytest.raises(SplitConfigError, match=problem):
        spec_of("blue_green", **{"blue": "v1", "green": "v2", **params})


def test_a_table_cannot_mix_the_colours() -> None:
    """No table has a part of a swap."""
    spec = spec_of("blue_green", blue="v1", green="v2")
    kind = Split.kinds["blue_green"]
    entry = kind.compile(spec, [0, 1], "", 1, None)

    with pytest.raises(PlainError, match="one colour has everything"):
        kind.from_table({**entry, "weights": [0.5, 0.5]}, arms_of(spec), "split")
    with pytest.raises(PlainError, match="must be canary and stable"):
        kind.from_table(entry, list(reversed(arms_of(spec))), "split")


@pytest.mark.parametrize(
    ("rollout", "path"),
    [
        ("{}", "rollout"),
        ("{steps: [5%, 100%]}", "rollout.steps"),
        ("{steps: [{linear: {from: 50%, to: 100%, count: 2}}]}", "rollout.steps"),
        ("{steps: [100%], bake: {duration: 1m}}", "rollout.bake.holdback"),
        ("{steps: [100%], bake: {duration: 1m, holdback: 0}}", ""),
        ("{steps: [100%]}", ""),
        ("{enabled: false}", ""),
    ],
)
def test_rollouts_are_of_everything(rollout: str, path: str) -> None:
    """A step that would leave the dark colour without requests, and so without evidence, is refused."""
    loaded = load_text(
        f"""
listeners: [{{bind: ':1'}}]
upstreams: {{v1: {{endpoints: ['http://127.0.0.1:8']}}, v2: {{endpoints: ['http://127.0.0.1:9']}}}}
routes:
  - name: r
    split: {{kind: blue_green, blue: v1, green: v2}}
    rollout: {rollout}
""",
        file="h.yaml",
        environ={},
    )

    assert [problem.path for problem in check_config(loaded)] == ([f"routes[0].{path}"] if path else [])
