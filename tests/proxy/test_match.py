"""One test for each matcher, and the order of routes."""

from __future__ import annotations

import pytest

from proxy.match import bare_host, read_matcher
from proxy.plain import PlainError
from proxy.request import RequestView
from proxy.table import RoutingTable
from proxy.target import routing_path
from tests.helpers.routing import plain_table, view


def takes(match: dict[str, object], request: RequestView) -> bool:
    """Whether a route with these conditions takes the request."""
    matcher = read_matcher(match, "match")
    fits = matcher.matches(request.method, bare_host(request.host), routing_path(request.target))
    return fits and (not matcher.needs_headers or matcher.headers_match(request))


def route_of(matches: list[dict[str, object]], request: RequestView) -> str | None:
    """Name of the route that takes the request, the routes being named by their position."""
    routes = [
        {"name": str(index), "match": match, "split": {"kind": "direct", "arms": [index]}}
        for index, match in enumerate(matches)
    ]
    arms = [
        {"route": str(index), "variant": "v1", "role": "stable", "upstream": 0}
        for index in range(len(matches))
    ]
    table = RoutingTable.from_json(plain_table(routes=routes, arms=arms))
    found = table.match(
        request.method, request.target, request.host, request.data, request.line_end, request.end
    )
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"api.example.org", True),
        (b"API.Example.ORG", True),
        (b"api.example.org:8080", True),
        (b"api.example.org.", True),
        (b"example.org", False),
        (b"x.api.example.org", False),
        (b"", False),
    ],
)
def test_host(host: bytes, expected: bool) -> None:
    """A host is compared without case, port and final dot."""
    assert takes({"host": "Api.example.org"}, view(host=host)) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"a.example.org", True),
        (b"b.a.EXAMPLE.org:80", True),
        (b"example.org", False),
        (b".example.org", False),
        (b"badexample.org", False),
        (b"a.example.org.evil", False),
    ],
)
def test_host_wildcard(host: bytes, expected: bool) -> None:
    """`*.example.org` takes every name below example.org, but not example.org."""
    assert takes({"host": "*.example.org"}, view(host=host)) is expected


def test_host_may_be_an_address() -> None:
    """An IPv6 address in brackets keeps its colons and loses its port."""
    assert takes({"host": "[::1]"}, view(host=b"[::1]:8080"))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/v2/x", True),
        (b"/v2/x?y", True),
        (b"http://h/v2/x", True),
        (b"/v2/./x", True),
        (b"/v2/%78", True),
        (b"/v2/x/", False),
        (b"/v2", False),
        (b"/V2/x", False),
    ],
)
def test_path(target: bytes, expected: bool) -> None:
    """A path is compared whole, without its query, however it is spelled."""
    assert takes({"path": "/v2/x"}, view(target=target)) is expected


@pytest.mark.parametrize(
    ("prefix", "target", "expected"),
    [
        ("/v2", b"/v2", True),
        ("/v2", b"/v2?x", True),
        ("/v2", b"/v2/x", True),
        ("/v2", b"/v20", False),
        ("/v2", b"/v1/../v2/x", True),
        ("/v2", b"/v2/../v1", False),
        ("/v2", b"/v2/%2e%2e/v1", False),
        ("/v2", b"/v2/..%2fv1", False),
        ("/v2", b"//v2//x", True),
        ("/v2/", b"/v2/x", True),
        ("/v2/", b"/v2", False),
        ("/", b"/anything", True),
        ("/", b"*", False),
        ("/caf\u00e9", b"/caf%c3%a9/x", True),
        ("/a%2Fb", b"/a%2fb/c", True),
        ("/a", b"/a%2fb", False),
    ],
)
def test_path_prefix(prefix: str, target: bytes, expected: bool) -> None:
    """A prefix is compared by whole segments, and no spelling gets into it or out of it."""
    assert takes({"path_prefix": prefix}, view(target=target)) is expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [(b"/v1/x", True), (b"/v2/x", True), (b"/v3/x", False), (b"/x/v1/", False), (b"/v3/../v1/x", True)],
)
def test_path_regex(target: bytes, expected: bool) -> None:
    """An expression is searched for in the path."""
    assert takes({"path_regex": "^/v[12]/"}, view(target=target)) is expected


def test_methods() -> None:
    """Methods are compared with case, as they have to be (RFC 9110, 9.1)."""
    assert takes({"methods": ["POST", "PUT"]}, view(method=b"PUT"))
    assert not takes({"methods": ["POST", "PUT"]}, view(method=b"put"))
    assert takes({"methods": []}, view(method=b"DELETE"))


@pytest.mark.parametrize(
    ("wanted", "line", "expected"),
    [
        ("gold", b"X-Tenant: gold", True),
        ("gold", b"X-Tenant: golden", False),
        ("gold", b"X-Other: gold", False),
        (True, b"x-tenant: any", True),
        (True, b"x-other: any", False),
        ({"regex": "^go"}, b"x-tenant: gold", True),
        ({"regex": "^go$"}, b"x-tenant: gold", False),
    ],
)
def test_headers(wanted: object, line: bytes, expected: bool) -> None:
    """A header is equal to a text, there at all, or fits an expression."""
    assert takes({"headers": {"x-tenant": wanted}}, view(line)) is expected


def test_all_conditions_have_to_hold() -> None:
    """A route takes a request only if nothing speaks against it."""
    match: dict[str, object] = {
        "host": "example.org",
        "path_prefix": "/v2",
        "methods": ["POST"],
        "headers": {"a": "1", "b": True},
    }
    good = {"method": b"POST", "target": b"/v2/x", "host": b"example.org"}

    assert takes(match, view(b"a: 1", b"b: 2", **good))
    assert not takes(match, view(b"a: 1", **good))
    assert not takes(match, view(b"a: 1", b"b: 2", **good | {"method": b"GET"}))
    assert not takes(match, view(b"a: 1", b"b: 2", **good | {"target": b"/v1"}))
    assert not takes(match, view(b"a: 1", b"b: 2", **good | {"host": b"example.com"}))


def test_first_match_wins() -> None:
    """Routes are tried in their order; one without conditions takes what is left."""
    matches: list[dict[str, object]] = [
        {"path": "/v2/health"},
        {"path_prefix": "/v2", "headers": {"x-beta": True}},
        {"path_prefix": "/v2"},
        {},
    ]

    assert route_of(matches, view(target=b"/v2/health")) == "0"
    assert route_of(matches, view(b"X-Beta: 1", target=b"/v2/x")) == "1"
    assert route_of(matches, view(target=b"/v2/x")) == "2"
    assert route_of(matches, view(target=b"/")) == "3"


def test_nothing_matches() -> None:
    """Without a route for it a request has none."""
    assert route_of([{"path_prefix": "/v2"}, {"host": "a.example"}], view(target=b"/")) is None


def test_ambiguous_path_gets_only_a_route_that_ignores_paths() -> None:
    """A path that servers read differently fits neither `/` nor an expression that takes everything."""
    request = view(target=b"/a/..%2fb")

    assert route_of([{"path_prefix": "/"}, {"path_regex": ""}, {"path_regex": ".*"}], request) is None
    assert route_of([{"path_prefix": "/"}, {}], request) == "1"


def test_authority_of_the_target_goes_before_the_host_header() -> None:
    """An absolute target says which host is meant."""
    matches: list[dict[str, object]] = [{"host": "a.example"}, {"host": "b.example"}]

    assert route_of(matches, view(target=b"http://b.example:80/", host=b"a.example")) == "1"
    assert route_of(matches, view(target=b"/", host=b"a.example")) == "0"


@pytest.mark.parametrize(
    ("match", "text"),
    [
        ({"hots": "x"}, "match.hots: is not a condition"),
        ({"host": 5}, "match.host: must be a string, not a number"),
        ({"host": "a.*.example"}, "match.host: 'a.*.example' has a * elsewhere"),
        ({"host": "b\u00fccher.example"}, "xn--"),
        ({"path": "x"}, "match.path: 'x' does not start with /"),
        ({"path": "/x?y"}, "match.path: '/x?y' has a query"),
        ({"path_prefix": "/a/..%2fb"}, "match.path_prefix: '/a/..%2fb' has no single meaning"),
        ({"path_regex": "("}, "match.path_regex: '(' does not compile"),
        ({"methods": "GET"}, "match.methods: must be an array"),
        ({"headers": {"a": 5}}, "match.headers.a: must be a string, true or"),
        ({"headers": {"a": False}}, "match.headers.a: must be a string, true or"),
        ({"headers": {"a": {}}}, "match.headers.a.regex: is missing"),
        ({"headers": {"a": {"regex": "["}}}, "match.headers.a.regex: '[' does not compile"),
        ([], "match: must be an object"),
    ],
)
def test_malformed_conditions_are_refused(match: object, text: str) -> None:
    """A condition that cannot be used is named with its place."""
    with pytest.raises(PlainError) as caught:
        read_matcher(match, "match")

    assert text in str(caught.value)
