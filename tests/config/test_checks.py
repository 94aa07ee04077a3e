"""What must hold between the parts of a configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.checks import faults
from tests.config.strategies import plain_values
from tests.config.text import SMALL, load, only_problem, problems

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize("bind", ["127.0.0.1:9999", "[::1]:9999", "localhost:9999", "127.1.2.3:9999"])
def test_loopback_needs_no_token(bind: str) -> None:
    """Who is on the machine may steer it."""
    assert load(SMALL + f"admin: {{bind: '{bind}'}}\n").config.admin.tokens == ()


@pytest.mark.parametrize("bind", ["0.0.0.0:9999", ":9999", "[::]:9999", "10.0.0.1:9999", "my.host:9999"])
def test_an_open_admin_address_needs_a_token(bind: str) -> None:
    """Otherwise anyone on the network could roll back a release."""
    shown = bind if not bind.startswith(":") else f"0.0.0.0{bind}"

    assert only_problem(SMALL + f"admin: {{bind: '{bind}'}}\n") == (
        f"h.yaml:9:15: admin.bind: {shown} can be reached from outside, and no token guards it; bind to"
        " 127.0.0.1,"
        " or write admin.tokens in a configuration file"
    )
    guarded = SMALL + f"admin: {{bind: '{bind}', tokens: [{{name: a, sha256: {DIGEST}}}]}}\n"
    assert load(guarded).config.admin.tokens[0].role == "viewer"


def test_addresses_are_used_once() -> None:
    """Each address that is taken says by whom."""
    text = SMALL.replace(
        '  - bind: "127.0.0.1:8080"\n', '  - bind: ":8080"\n  - bind: "127.0.0.1:8080"\n  - bind: "[::1]:9"\n'
    )

    assert problems(text + 'admin: {bind: "localhost:8080"}\n') == [
        "h.yaml:3:11: listeners[1].bind: 127.0.0.1:8080 is taken by the listener on 0.0.0.0:8080; use"
        " another port",
        "h.yaml:11:15: admin.bind: localhost:8080 is taken by the listener on 0.0.0.0:8080; use another port",
    ]


def test_the_default_admin_address_counts_too() -> None:
    """Nobody wrote 9901, but it is taken all the same."""
    assert only_problem(SMALL.replace("8080", "9901")) == (
        "h.yaml:1:1: admin.bind: 127.0.0.1:9901 is taken by the listener on 127.0.0.1:9901; use another port"
    )


def test_names_of_routes_differ() -> None:
    """Commands and records go by name."""
    text = SMALL.replace(
        "  - name: all", "  - name: all\n    match: {path: /x}\n    upstream: v1\n  - name: all"
    )

    assert only_problem(text) == (
        "h.yaml:10:11: routes[1].name: the same name as routes[0]; give each route a name of its own"
    )


def test_tokens_differ() -> None:
    """One token with two holders would make records ambiguous, one name with two tokens as well."""
    text = f"""\
admin:
  tokens:
    - {{name: a, sha256: {DIGEST}}}
    - {{name: b, sha256: {DIGEST.upper()}}}
    - {{name: A, sha256: "{"1" * 64}"}}
"""
    found = problems(SMALL + text)

    assert found == [
        "h.yaml:12:25: admin.tokens[1].sha256: the same token as admin.tokens[0]; make a token for each"
        " holder",
        "h.yaml:13:14: admin.tokens[2].name: the same name as admin.tokens[0]; give each token a name of"
        " its own",
    ]
    assert not any(DIGEST in line for line in found)


def test_a_route_goes_to_an_upstream_that_is_there() -> None:
    """With the name that was probably meant."""
    text = SMALL.replace("  v1:\n", "  fraud:\n").replace("upstream: v1", "upstream: fruad")

    assert only_problem(text) == (
        "h.yaml:8:15: routes[0].upstream: there is no upstream 'fruad'; did you mean fraud?"
    )


@pytest.mark.parametrize("match", ["", "    match: {}\n", "    match: {methods: [], headers: {}}\n"])
def test_a_route_after_the_one_that_takes_everything_is_an_error(match: str) -> None:
    """It would be dead without a word."""
    text = SMALL + match + "  - name: late\n    match: {path: /x}\n    upstream: v1\n"
    line = 9 + match.count("\n")

    assert only_problem(text) == (
        f"h.yaml:{line}:5: routes[1]: no request gets here, because routes[0] takes every one; put the route"
        " without conditions last"
    )


@pytest.mark.parametrize(
    "match", ["host: a.example", "path_prefix: /", "methods: [GET]", "headers: {x-a: true}"]
)
def test_a_condition_leaves_something_to_later_routes(match: str) -> None:
    """Only a route without any takes everything for sure."""
    text = SMALL + f"    match: {{{match}}}\n  - name: late\n    upstream: v1\n"

    assert len(load(text).config.routes) == 2


@given(
    value=plain_values
    | st.dictionaries(st.sampled_from(["listeners", "admin", "upstreams", "routes"]), plain_values)
)
def test_broken_parts_are_passed_over(value: Any) -> None:
    """The checks run on files whose parts are malformed, and say only what they can know."""
    assert isinstance(faults(value), list)


@pytest.mark.parametrize(
    "plain",
    [
        {"routes": [{"name": ["a"], "match": 4}, 3, {"name": None}], "upstreams": 7},
        {"listeners": [{"bind": {}}, None, {"bind": ":x"}], "admin": {"bind": 3}},
        {"admin": {"tokens": [None, {"name": 3, "sha256": []}]}},
    ],
)
def test_malformed_parts_have_no_faults_of_their_own(plain: Any) -> None:
    """The schema reports them; a second report would only confuse."""
    assert faults(plain) == []
