"""Tables are read completely or refused, with the place that is wrong."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.compile import compile_table
from proxy.outcomes import Outcome
from proxy.table import RoutingTable
from tests.helpers.routing import load_routes, name_of, plain_table, user, view

ROUTES = """
  - name: fraud
    match: {host: '*.example.org', path_prefix: /v2, methods: [POST], headers: {x-tenant: {regex: '^g'}}}
    split: {kind: canary, stable: v1, canary: v2, weight: 5%, key: ['header:x-user', client_address]}
    override: {allow: [v1, v2]}
    timeouts: {first_byte: 7s}
  - name: three
    match: {path: /three}
    split: {kind: hash, variants: {v1: 50, v2: 30, v3: 20}, key: 'json:/user'}
  - name: dealt
    match: {path_regex: '^/dealt'}
    split: {kind: percentage, variants: {v1: 95, v2: 5}}
  - name: drawn
    match: {headers: {x-drawn: true}}
    split: {kind: random, variants: {v1: 50, v2: 50}}
  - name: rest
    upstream: v4
    failure: [upstream_4xx, shed]
    retries: {attempts: 3}
"""


def full_table() -> dict[str, Any]:
    """A plain table in which every kind occurs."""
    upstreams = {"v1": ", timeouts: {first_byte: 9s, connect: 1s}"}
    return compile_table(load_routes(ROUTES, upstreams=upstreams).config, revision=12, states={})


def test_table_is_read() -> None:
    """Everything in a plain table arrives, resolved."""
    plain = json.loads(json.dumps(full_table()))
    table = RoutingTable.from_json(plain)

    assert table.revision == 12
    assert table.config_digest.startswith("sha256:")
    assert [route.name for route in table.routes] == ["fraud", "three", "dealt", "drawn", "rest"]
    assert [route.index for route in table.routes] == [0, 1, 2, 3, 4]
    assert [(arm.index, arm.variant, arm.role) for arm in table.arms[:3]] == [
        (0, "v1", "stable"),
        (1, "v1", "control"),
        (2, "v2", "canary"),
    ]
    fraud = table.routes[0]
    assert fraud.divert is not None
    assert (fraud.divert.arm.role, fraud.divert.fallback.role) == ("canary", "stable")
    assert (fraud.divert.failures, fraud.divert.probe_interval, fraud.divert.recover) == (6, 1.0, 3)
    assert [arm.role for arm in fraud.arms] == ["canary", "stable", "control"]
    assert table.upstreams[3].endpoints[0].port == 9004
    assert table.headers.request_id == b"x-request-id"
    assert table.headers.append_forwarded
    assert table.limits.headers == 128


def test_timeouts_of_an_arm_are_resolved() -> None:
    """The route's go before the upstream's, which go before the table's."""
    table = RoutingTable.from_json(full_table())

    stable, three = table.arms[0], table.arms[3]
    assert (stable.timeouts.first_byte, stable.timeouts.connect, stable.timeouts.stream_idle) == (7, 1, 300)
    assert (three.timeouts.first_byte, three.timeouts.connect) == (9, 1)
    assert table.routes[0].timeouts.first_byte == 7
    assert table.timeouts.first_byte == 60


def test_needs_of_routes() -> None:
    """A route says what its split has to see, so that nothing is made that is not needed."""
    fraud, three, dealt, drawn, rest = RoutingTable.from_json(full_table()).routes

    assert (fraud.needs_view, fraud.needs_body) == (True, False)
    assert (three.needs_view, three.needs_body) == (True, True)
    assert (dealt.needs_view, drawn.needs_view, rest.needs_view) == (False, False, False)
    assert rest.direct is rest.arms[0]
    assert fraud.direct is dealt.direct is None


def test_override_takes_the_shortcut_away() -> None:
    """A route with one arm still has to look for an override."""
    table = plain_table()
    table["routes"][0]["override"] = {"header": "x", "cookie": "", "values": {"v1": 0}}
    route = RoutingTable.from_json(table).routes[0]
    request = view(b"x: v1")

    assert route.direct is None
    assert route.needs_view
    assert route.assign(request) is route.arms[0]
    assert request.overridden


def test_failures_by_number() -> None:
    """Each route says for each outcome whether it counts against the variant."""
    table = RoutingTable.from_json(full_table())

    rest = table.routes[4]
    assert [outcome for outcome in Outcome if rest.failure[outcome]] == [Outcome.UPSTREAM_4XX, Outcome.SHED]
    assert table.routes[0].failure[Outcome.UPSTREAM_5XX]
    assert not table.routes[0].failure[Outcome.CLIENT_ABORT]
    assert rest.retries.attempts == 3


def test_route_without_conditions_matches_at_once() -> None:
    """A first route without conditions takes every request, even one whose path has no single meaning."""
    table = RoutingTable.from_json(plain_table())

    found = table.match(b"GET", b"/a/..%2fb", b"", b"", 0, 0)

    assert found is table.routes[0]


def test_remembered_routes_are_those_that_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, also after more request lines than are remembered; method and host count as well."""
    monkeypatch.setattr("proxy.table.KNOWN_MAX", 3)
    routes = """
  - name: posted
    match: {path_prefix: /v2, methods: [POST]}
    upstream: v1
  - name: hosted
    match: {path_prefix: /v2, host: a.example}
    upstream: v2
"""
    table = RoutingTable.from_json(compile_table(load_routes(routes).config, revision=1, states={}))

    def found(method: bytes, host: bytes, target: bytes) -> str | None:
        route = table.match(method, target, host, b"", 0, 0)
        return route.name if route is not None else None

    for _ in range(3):
        assert found(b"POST", b"b.example", b"/v2/x") == "posted"
        assert found(b"GET", b"b.example", b"/v2/x") is None
        assert found(b"GET", b"a.example", b"/v2/x") == "hosted"
        assert found(b"GET", b"a.example:80", b"/v2/x") == "hosted"
        assert found(b"GET", b"a.example", b"/v3/x") is None
        assert found(b"GET", b"b.example", b"http://a.example/v2/x") == "hosted"
        assert [found(b"POST", b"a", b"/v2/%d" % number) for number in range(9)] == ["posted"] * 9


def test_table_that_was_read_twice_assigns_alike() -> None:
    """Reading is free of chance: two readers of one table send each user to the same variant."""
    plain = full_table()
    first, second = RoutingTable.from_json(plain), RoutingTable.from_json(copy.deepcopy(plain))

    for key in range(2_000):
        request = user(key)
        assert name_of(first.routes[0].assign(request)) == name_of(second.routes[0].assign(request))


def test_reading_leaves_the_plain_table_alone() -> None:
    """What was received can be stored or passed on afterwards."""
    plain = full_table()
    before = copy.deepcopy(plain)

    RoutingTable.from_json(plain)

    assert plain == before


def test_running_state_goes_on_in_the_next_table() -> None:
    """A reload that leaves a dealt split alone does not start its block over."""
    for _ in range(20):
        first = RoutingTable.from_json(full_table())
        start = [first.routes[2].assign(view()).variant for _ in range(9)]
        second = RoutingTable.from_json(full_table(), first)
        rest = [second.routes[2].assign(view()).variant for _ in range(11)]
        assert (start + rest).count("v2") == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ([], "table: must be an object, not an array"),
        ({"routes": None}, "routes: must be an array, not null"),
        ({"arms": 5}, "arms: must be an array"),
        ({"revision": "1"}, "revision: must be an integer, not a string"),
        ({"revision": True}, "revision: must be an integer, not a boolean"),
        ({"revision": -1}, "revision: must be at least 0, not -1"),
        ({"timeouts": {"conect": 1}}, "timeouts.conect: is not a time-out"),
        ({"timeouts": {"connect": -1}}, "timeouts.connect: must be from 0"),
        ({"timeouts": {"connect": float("nan")}}, "timeouts.connect: must be from 0"),
        ({"limits": {"headers": 1.5}}, "limits.headers: must be an integer"),
        ({"limits": {"header": 1}}, "limits.header: is not a limit"),
        ({"headers": {"forwarded": "drop"}}, "headers.forwarded: must be append or replace"),
        ({"upstreams": [{"name": "v1", "endpoints": []}]}, "upstreams[0].endpoints: must name at least one"),
        ({"upstreams": [{"endpoints": []}]}, "upstreams[0].endpoints: must name at least one"),
        ({"upstreams": [{"name": "a", "balance": "x"}]}, "upstreams[0].balance: there is no 'x'"),
        ({"arms": []}, "routes[0].split.arms[0]: there is no arm 0"),
    ],
)
def test_malformed_table_is_refused(change: Any, text: str) -> None:
    """A table that cannot be used is refused with the place."""
    table = plain_table(**change) if isinstance(change, dict) else change

    with pytest.raises(ValueError, match=re.escape(text)):
        RoutingTable.from_json(table)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (
            ("upstreams", 0, "endpoints", 0, "url"),
            "ftp://a:1",
            "url: 'ftp://a:1' is not http://host:port",
        ),
        (("upstreams", 0, "endpoints", 0, "url"), "http://a", "url: 'http://a' is not http://host:port"),
        (("upstreams", 0, "endpoints", 0, "url"), "http://a:70000", "is not http://host:port"),
        (("upstreams", 0, "endpoints", 0, "url"), "http://\u00fc:1", "ascii"),
        (("upstreams", 0, "endpoints", 0, "weight"), 0, "weight: must be at least 1"),
        (("upstreams", 0, "release"), 5, "upstreams[0].release: must be a string"),
        (("arms", 0, "upstream"), 9, "arms[0].upstream: there is no upstream 9"),
        (("arms", 0, "route"), "x", "arms[0].route: there is no route 'x'"),
        (("arms", 0, "slot"), -1, "arms[0].slot: must be at least 0"),
        (("routes", 0, "failure"), ["x"], "routes[0].failure[0]: unknown outcome 'x'"),
        (("routes", 0, "failure"), ["client_abort"], "client_abort is neither success nor failure"),
        (("routes", 0, "retries"), None, "routes[0].retries: must be an integer, not null"),
        (("routes", 0, "split", "kind"), "dice", "routes[0].split.kind: there is no 'dice'"),
        (("routes", 0, "split", "arms"), [], "routes[0].split.arms: must name at least one"),
        (("routes", 0, "divert"), {"arm": 0}, "routes[0].divert.fallback: is missing"),
        (("routes", 0, "divert"), {"arm": 3}, "routes[0].divert.arm: there is no arm 3"),
        (("routes", 0, "match"), {"path": 1}, "routes[0].match.path: must be a string"),
        (("routes", 0, "timeouts"), {"x": 1}, "routes[0].timeouts.x: is not a time-out"),
    ],
)
def test_malformed_part_is_refused(path: tuple[str | int, ...], value: object, text: str) -> None:
    """A part that cannot be used is refused with its place."""
    table = plain_table()
    _put(table, path, value)

    with pytest.raises(ValueError, match=re.escape(text)):
        RoutingTable.from_json(table)


def test_names_have_to_differ() -> None:
    """Two routes or two upstreams of one name would mix their counts and pools."""
    table = plain_table()

    with pytest.raises(ValueError, match=r"routes\[1\]\.name: 'all' is defined twice"):
        RoutingTable.from_json(table | {"routes": table["routes"] * 2})
    with pytest.raises(ValueError, match=r"upstreams\[1\]\.name: 'v1' is defined twice"):
        RoutingTable.from_json(table | {"upstreams": table["upstreams"] * 2})
    table["upstreams"][0]["endpoints"] *= 2
    with pytest.raises(ValueError, match=r"upstreams\[0\]\.endpoints: names an address twice"):
        RoutingTable.from_json(table)


FULL = full_table()
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    """One value replaced by junk gives a table or a ValueError, never anything else."""
    table = copy.deepcopy(FULL)
    path = data.draw(st.sampled_from(_paths(table)))
    _put(table, path, data.draw(JUNK))

    try:
        read = RoutingTable.from_json(table)
    except ValueError:
        return
    for route in read.routes:
        route.assign(view(b"x-user: 1", body=b"{}"))


def _paths(value: object, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found: list[tuple[str | int, ...]] = [above] if above else []
    entries: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, below in entries:
        found += _paths(below, (*above, key))
    return found


def _put(value: Any, path: tuple[str | int, ...], new: object) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new
