"""Endpoints outlive the tables that name them."""

from __future__ import annotations

from typing import Any

from proxy.endpoint import EndpointRegistry
from proxy.table import RoutingTable
from tests.helpers.routing import plain_table


def table(*urls: str, weight: int = 1, balance: str = "round_robin", name: str = "v1") -> RoutingTable:
    """A table with one upstream."""
    upstream: dict[str, Any] = {"name": name, "balance": balance}
    upstream["endpoints"] = [{"url": url, "weight": weight} for url in urls]
    return RoutingTable.from_json(plain_table(upstreams=[upstream]))


A, B, C = "http://127.0.0.1:9001", "http://127.0.0.1:9002", "http://[::1]:9003"


def test_reload_keeps_endpoints_and_turns() -> None:
    """The same address in a new table is the same object, with its requests in flight and a new weight."""
    registry = EndpointRegistry()
    first, second = table(A, B), table(B, A, C, weight=3)

    assert registry.adopt(first) == []
    first.upstreams[0].live[0].in_flight = 7
    assert registry.adopt(second) == []

    assert second.upstreams[0].live[1] is first.upstreams[0].live[0]
    assert second.upstreams[0].live[1].in_flight == 7
    assert second.upstreams[0].live[1].weight == 3
    assert second.upstreams[0].balancer is first.upstreams[0].balancer
    assert [endpoint.port for endpoint in second.upstreams[0].live] == [9002, 9001, 9003]


def test_endpoints_left_out_are_returned() -> None:
    """What no table names any more is given back once, so that its connections can be closed."""
    registry = EndpointRegistry()
    registry.adopt(table(A, B))

    gone = registry.adopt(table(B))

    assert [endpoint.port for endpoint in gone] == [9001]
    assert registry.adopt(table(B)) == []


def test_older_table_keeps_its_endpoints() -> None:
    """A request in flight under an older table finds that table's endpoints as they were."""
    registry = EndpointRegistry()
    old = table(A, B)
    registry.adopt(old)

    registry.adopt(table(C))

    assert [endpoint.port for endpoint in old.upstreams[0].live] == [9001, 9002]
    assert old.upstreams[0].balancer is not None
    assert old.upstreams[0].balancer.pick(old.upstreams[0].live) in old.upstreams[0].live


def test_same_address_in_two_upstreams_is_two_endpoints() -> None:
    """Health and pools belong to an upstream, whoever else uses the address."""
    upstreams = [{"name": name, "endpoints": [{"url": A}]} for name in ("v1", "v2")]
    both = RoutingTable.from_json(plain_table(upstreams=upstreams))

    EndpointRegistry().adopt(both)

    assert both.upstreams[0].live[0] is not both.upstreams[1].live[0]


def test_other_balance_is_another_balancer() -> None:
    """A change of the way to balance takes effect."""
    registry = EndpointRegistry()
    first, second = table(A, B), table(A, B, balance="least_in_flight")
    registry.adopt(first)
    registry.adopt(second)

    assert type(first.upstreams[0].balancer) is not type(second.upstreams[0].balancer)
    assert first.upstreams[0].live[0] is second.upstreams[0].live[0]


def test_names_of_an_endpoint() -> None:
    """The key always has the port; a Host header has none when it is the default one (RFC 9110, 7.2)."""
    registry = EndpointRegistry()
    made = table(A, C, "http://model.example:80")
    registry.adopt(made)

    live = made.upstreams[0].live
    assert [e.key for e in live] == [b"127.0.0.1:9001", b"[::1]:9003", b"model.example:80"]
    assert [e.authority for e in live] == [b"127.0.0.1:9001", b"[::1]:9003", b"model.example"]
    assert live[1].host == "::1"
