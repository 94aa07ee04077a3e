"""The walk of a rolling split over its endpoints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.compile import RouteState, compile_table
from proxy.splits.canary import CanarySplit
from proxy.splits.load import load_all
from proxy.table import RoutingTable
from proxy.walk import arriving, leaving
from tests.helpers.routing import chosen, load_routes, split_of


def endpoints(*weights: int) -> list[dict[str, Any]]:
    """Endpoints a, b, c ... with these weights."""
    return [{"url": chr(97 + index), "weight": weight} for index, weight in enumerate(weights)]


def shown(walked: list[dict[str, Any]]) -> dict[str, int]:
    """Weights by endpoint."""
    return {endpoint["url"]: endpoint["weight"] for endpoint in walked}


@pytest.mark.parametrize(
    ("weight", "new", "old"),
    [
        (0.0, {"a": 1000, "b": 1000, "c": 1000, "d": 1000}, {"a": 1000, "b": 1000, "c": 1000, "d": 1000}),
        (0.125, {"a": 500}, {"a": 500, "b": 1000, "c": 1000, "d": 1000}),
        (0.25, {"a": 1000}, {"b": 1000, "c": 1000, "d": 1000}),
        (0.6, {"a": 1000, "b": 1000, "c": 400}, {"c": 600, "d": 1000}),
        (0.75, {"a": 1000, "b": 1000, "c": 1000}, {"d": 1000}),
        (1.0, {"a": 1000, "b": 1000, "c": 1000, "d": 1000}, {"a": 1000, "b": 1000, "c": 1000, "d": 1000}),
    ],
)
def test_endpoints_trade_places_one_by_one(weight: float, new: dict[str, int], old: dict[str, int]) -> None:
    """What the new release has taken in of the list, the old one has given up."""
    four = endpoints(1, 1, 1, 1)

    assert shown(arriving(four, weight)) == new
    assert shown(leaving(four, weight)) == old


@given(st.floats(0, 1), st.lists(st.integers(1, 1000), min_size=1, max_size=12))
def test_there_is_always_an_endpoint(weight: float, weights: list[int]) -> None:
    """No weight leaves an arm without an endpoint, or an endpoint without a weight."""
    for walk in (arriving, leaving):
        walked = walk(endpoints(*weights), weight)
        assert walked
        assert all(endpoint["weight"] >= 1 for endpoint in walked)
        urls = [endpoint["url"] for endpoint in walked]
        assert urls == sorted(urls)


def test_tenths_do_not_leave_crumbs() -> None:
    """Decimal shares that fall on a boundary stop there."""
    ten = endpoints(*[1] * 10)

    for tenth in range(1, 10):
        assert len(arriving(ten, tenth / 10)) == tenth
        assert len(leaving(ten, tenth / 10)) == 10 - tenth


ROUTES = """
  - name: moved
    match: {path_prefix: /moved}
    split: {kind: rolling, stable: v1, canary: v2, key: 'header:x-user'}
  - name: other
    upstream: v1
"""


def test_only_the_route_that_rolls_sees_fewer_endpoints() -> None:
    """Another route to the same upstream keeps all of it; counts go on under the variant's own name."""
    extra = dict.fromkeys(("v1", "v2"), ", balance: least_in_flight")
    loaded = load_routes(ROUTES, upstreams=extra)
    config = loaded.config.model_copy(
        update={
            "upstreams": {
                name: upstream.model_copy(
                    update={
                        "endpoints": tuple(
                            upstream.endpoints[0].model_copy(update={"url": f"http://{name}.example:{port}"})
                            for port in (1, 2)
                        )
                    }
                )
                for name, upstream in loaded.config.upstreams.items()
            }
        }
    )

    plain = compile_table(config, revision=1, states={"moved": RouteState(canary_weight=0.5)})

    table = RoutingTable.from_json(plain)
    seen = {(arm.route, arm.role): [spec.port for spec in arm.upstream.endpoints] for arm in table.arms}
    assert seen == {
        ("moved", "stable"): [2],
        ("moved", "control"): [2],
        ("moved", "canary"): [1],
        ("other", "stable"): [1, 2],
    }
    assert {arm.variant for arm in table.arms} == {"v1", "v2"}
    assert {upstream.balance for upstream in table.upstreams if "@" in upstream.name} == {"least_in_flight"}


def test_keys_are_divided_as_by_canary() -> None:
    """The same salt gives the same users, and nobody goes back as the walk goes on."""
    load_all()
    common: dict[str, Any] = {"stable": "v1", "canary": "v2", "key": "header:x-user", "salt": "s"}

    rolling = chosen(split_of("rolling", at=0.4, **common), range(2_000))

    assert rolling == chosen(split_of("canary", at=0.4, **common), range(2_000))
    assert CanarySplit.walks is False
