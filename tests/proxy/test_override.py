"""A request may name its variant where the operator allows it."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.compile import RouteState, compile_table
from proxy.plain import PlainError
from proxy.table import RoutingTable
from tests.helpers.routing import load_routes, plain_table, view

ROUTES = """
  - name: r
    split: {kind: canary, stable: v1, canary: v2, weight: 0%, key: "header:x-user"}
    override: {header: X-Pick, cookie: pick, allow: [v1, v2]}
"""


def route_with(state: RouteState | None = None, routes: str = ROUTES) -> Any:
    """The first route of a compiled table."""
    states = {} if state is None else {"r": state}
    table = compile_table(load_routes(routes).config, revision=1, states=states)
    return RoutingTable.from_json(table).routes[0]


@pytest.mark.parametrize(
    ("lines", "variant", "overridden"),
    [
        ([b"X-Pick: v2"], "v2", True),
        ([b"X-Pick: v1"], "v1", True),
        ([b"Cookie: pick=v2"], "v2", True),
        ([b"X-Pick: v1", b"Cookie: pick=v2"], "v1", True),
        ([b"X-Pick: nonsense", b"Cookie: pick=v2"], "v2", True),
        ([b"X-Pick: V2"], "v1", False),
        ([b"X-Pick: v3"], "v1", False),
        ([b"X-Pick:"], "v1", False),
        ([], "v1", False),
    ],
)
def test_override_at_weight_zero(lines: list[bytes], variant: str, overridden: bool) -> None:
    """An allowed value is obeyed even when the canary gets no traffic; any other counts for nothing."""
    request = view(*lines)

    arm = route_with().assign(request)

    assert (arm.variant, request.overridden) == (variant, overridden)


def test_override_to_stable_is_not_the_control_slice() -> None:
    """Who asks for stable is no part of what the canary is compared with."""
    request = view(b"X-Pick: v1")

    assert route_with(RouteState(canary_weight=0.5)).assign(request).role == "stable"


def test_rolled_back_canary_cannot_be_reached() -> None:
    """After a rollback neither an old cookie nor a header leads to the canary."""
    route = route_with(RouteState(canary_weight=0.5, rolled_back=True))

    for request in (
        view(b"X-Pick: v2"),
        view(b"Cookie: pick=v2"),
        *(view(b"x-user: %d" % i) for i in range(500)),
    ):
        assert route.assign(request).variant == "v1"
        assert not request.overridden


def test_only_allowed_values_count() -> None:
    """A variant that is not listed cannot be asked for."""
    routes = ROUTES.replace("[v1, v2]", "[v2]")
    request = view(b"X-Pick: v1", b"x-user: 1")

    assert route_with(routes=routes).assign(request).variant == "v1"
    assert not request.overridden


def test_header_alone() -> None:
    """With the cookie switched off only the header counts."""
    route = route_with(routes=ROUTES.replace("cookie: pick", "cookie: ''"))

    assert route.assign(view(b"Cookie: pick=v2")).variant == "v1"
    assert route.assign(view(b"X-Pick: v2")).variant == "v2"


def test_cookie_alone() -> None:
    """With the header switched off only the cookie counts."""
    route = route_with(routes=ROUTES.replace("header: X-Pick", "header: ''"))

    assert route.assign(view(b"X-Pick: v2")).variant == "v1"
    assert route.assign(view(b"Cookie: pick=v2")).variant == "v2"


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ([], "override: must be an object"),
        ({}, "override.values: is missing"),
        ({"values": {"v1": 1}}, "override.values.v1: there is no arm 1"),
        ({"values": {"v1": 0}, "header": 5}, "override.header: must be a string"),
    ],
)
def test_malformed_override_is_refused(override: object, text: str) -> None:
    """A table entry that cannot be used is named with its place."""
    table = plain_table()
    table["routes"][0]["override"] = override

    with pytest.raises(PlainError) as caught:
        RoutingTable.from_json(table)

    assert text in str(caught.value)
