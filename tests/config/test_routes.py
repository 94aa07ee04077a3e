"""Routes: what they match, where they go, and what a variant's failure is."""

from __future__ import annotations

from typing import get_args

import pytest

from config.routes import DEFAULT_FAILURE, FailureName, HeaderRegex, Match, Route
from proxy.outcomes import Outcome
from tests.config.text import SMALL, load, only_problem, problems


def route(keys: str) -> Route:
    return load(SMALL.replace("    upstream: v1", keys)).config.routes[0]


def test_the_short_form_is_a_direct_split() -> None:
    """Whoever compiles routes sees one form only."""
    split = load(SMALL).config.routes[0].effective_split

    assert (split.kind, split.parameters) == ("direct", {"upstream": "v1"})


def test_a_split_keeps_its_own_keys_as_they_were_written() -> None:
    """Only the kind knows what they mean."""
    found = route(
        "    split: {kind: canary, weight: 5%, key: [header:x-a, client_address], deep: {a: [1, 2.5]}}"
    )

    assert found.effective_split.kind == "canary"
    assert found.effective_split.parameters == {
        "weight": "5%",
        "key": ["header:x-a", "client_address"],
        "deep": {"a": [1, 2.5]},
    }


def test_conditions_on_headers() -> None:
    """Equal, present or matched; names lose their case."""
    headers = route(
        "    upstream: v1\n    match: {headers: {X-Tenant: gold, x-b: true, x-c: {regex: '^a'}, x-d: 'true'}}"
    ).match.headers

    assert headers == {
        "x-tenant": "gold",
        "x-b": True,
        "x-c": HeaderRegex(regex="^a"),
        "x-d": "true",
    }


def test_a_match_without_conditions_takes_everything() -> None:
    """And one condition is enough not to."""
    assert Match().everything
    assert route("    upstream: v1\n    match: {methods: []}").match.everything
    assert not route("    upstream: v1\n    match: {methods: [GET]}").match.everything


@pytest.mark.parametrize(
    ("match", "line"),
    [
        (
            "{path: /x, path_prefix: /y}",
            "h.yaml:9:19: routes[0].match.path: path_prefix and path are given together; keep one of them",
        ),
        (
            "{path_regex: x, path: /x, path_prefix: /y}",
            "h.yaml:9:34: routes[0].match.path: path_prefix and path and path_regex are given together;"
            " keep one",
        ),
        ("{path: x}", "h.yaml:9:19: routes[0].match.path: 'x' is not a path; write one that starts with /"),
        (
            "{path: '/a b'}",
            "h.yaml:9:19: routes[0].match.path: '/a b' holds a space, a control character, ? or #,",
        ),
        (
            "{path: '/a?b'}",
            "h.yaml:9:19: routes[0].match.path: '/a?b' holds a space, a control character, ? or #, or",
        ),
        (
            "{path: /a/../b}",
            "h.yaml:9:19: routes[0].match.path: '/a/../b' has a segment . or ..; write the path",
        ),
        (
            "{path: /a/%2e%2E}",
            "h.yaml:9:19: routes[0].match.path: '/a/%2e%2E' has a segment . or ..; write the path",
        ),
        (
            "{path_regex: '('}",
            "h.yaml:9:25: routes[0].match.path_regex: the regular expression does not compile: missing ),"
            " unterminated"
            " subpattern at position 0; correct it; Python's syntax applies",
        ),
        (
            "{path_regex: ''}",
            "h.yaml:9:25: routes[0].match.path_regex: '' is not a regular expression; write one in",
        ),
        (
            f"{{path_regex: {'a' * 1025}}}",
            "h.yaml:9:25: routes[0].match.path_regex: the regular expression is longer than 1024"
            " characters; shorten",
        ),
        ("{methods: [get]}", "h.yaml:9:23: routes[0].match.methods[0]: 'get' is not in capitals; write GET"),
        (
            "{methods: ['A B']}",
            "h.yaml:9:23: routes[0].match.methods[0]: 'A B' is not a method; write one such as",
        ),
        (
            "{methods: GET}",
            "h.yaml:9:22: routes[0].match.methods: 'GET' is not a list; write it in brackets: [GET]",
        ),
        (
            "{methods: [GET, GET]}",
            "h.yaml:9:28: routes[0].match.methods[1]: 'GET' is listed twice; keep one of them",
        ),
        ("{host: 'a:80'}", "h.yaml:9:19: routes[0].match.host: 'a:80' has a port; leave the port out"),
        (
            "{headers: {'a b': x}}",
            "h.yaml:9:23: routes[0].match.headers.a b: 'a b' is not a header name; write a to",
        ),
        (
            "{headers: {a: 1}}",
            "h.yaml:9:26: routes[0].match.headers.a: 1 is not a condition on a header; put it in",
        ),
        (
            "{headers: {a: false}}",
            "h.yaml:9:26: routes[0].match.headers.a: false is not a condition on a header; write the"
            " value, true for"
            " any value, or {regex: ...}",
        ),
        (
            "{headers: {a: {regexp: x}}}",
            "h.yaml:9:27: routes[0].match.headers.a.regexp: there is no such key; did you mean regex?",
        ),
        (
            "{headers: {a: x, A: y}}",
            "h.yaml:9:32: routes[0].match.headers.A: the same header as a; keep one; names",
        ),
        (
            "{headers: [a]}",
            "h.yaml:9:13: routes[0].match.headers: a list is not a mapping; write keys with values",
        ),
        (
            "/v2",
            "h.yaml:9:12: routes[0].match: '/v2' is not a mapping; write it with keys: host, path_prefix,"
            " path,",
        ),
        (
            "{pathprefix: /}",
            "h.yaml:9:13: routes[0].match.pathprefix: there is no such key; did you mean path_prefix?",
        ),
    ],
)
def test_what_could_never_match_is_refused(match: str, line: str) -> None:
    """A route that is silently never taken is the worst of mistakes."""
    assert only_problem(SMALL + f"    match: {match}\n").startswith(line)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("    divert: {}", "h.yaml:7:5: routes[0]: has no destination; add upstream or split"),
        (
            "    upstream: v1\n    split: {kind: direct}",
            "h.yaml:8:15: routes[0].upstream: upstream and split are given together; keep one of them",
        ),
        (
            "    upstream: v1\n    rollout: {}",
            "h.yaml:9:5: routes[0].rollout: there is no split to ramp; use a split of kind canary, or"
            " remove rollout",
        ),
        (
            "    split: canary",
            "h.yaml:8:12: routes[0].split: 'canary' is not a mapping; write it with keys: kind",
        ),
        ("    split: {stable: v1}", "h.yaml:8:5: routes[0].split.kind: is missing; add it"),
        ("    split: {kind: 3}", "h.yaml:8:19: routes[0].split.kind: 3 is not text; put it in quotes"),
        ("    upstream: [v1]", "h.yaml:8:5: routes[0].upstream: a list is not a name; use up to 64 letters"),
        (
            "    upstream: v1\n    override: {header: '', cookie: '', allow: [v1]}",
            "h.yaml:9:5: routes[0].override: neither header nor cookie can name a variant; name one",
        ),
        ("    upstream: v1\n    override: {}", "h.yaml:9:5: routes[0].override.allow: is missing; add it"),
        (
            "    upstream: v1\n    override: {allow: []}",
            "h.yaml:9:16: routes[0].override.allow: is empty; give it",
        ),
        (
            "    upstream: v1\n    failure: [upstream_6xx]",
            "h.yaml:9:15: routes[0].failure[0]: 'upstream_6xx' is not one of the choices; did you mean"
            " upstream_",
        ),
        (
            "    upstream: v1\n    failure: [client_abort]",
            "h.yaml:9:15: routes[0].failure[0]: 'client_abort' can never be a failure of the variant;"
            " remove it",
        ),
        (
            "    upstream: v1\n    failure: [shed, upstream_429, shed]",
            "h.yaml:9:35: routes[0].failure[2]: 'shed' is listed twice; keep one of them",
        ),
        (
            "    upstream: v1\n    retries: {attempts: 11}",
            "h.yaml:9:25: routes[0].retries.attempts: 11 is too much;",
        ),
        (
            "    upstream: v1\n    divert: {failures: 0}",
            "h.yaml:9:24: routes[0].divert.failures: 0 is too little;",
        ),
        (
            "    upstream: v1\n    divert: {probe_interval: 0s}",
            "h.yaml:9:30: routes[0].divert.probe_interval: 0 would leave no time at all; write a duration"
            " above 0,",
        ),
    ],
)
def test_a_route_that_cannot_be_served_is_refused(keys: str, line: str) -> None:
    """At the place of the slip, with a way out."""
    assert only_problem(SMALL.replace("    upstream: v1", keys)).startswith(line)


def test_faults_of_several_routes_are_reported_together() -> None:
    """One broken route does not hide another."""
    text = SMALL.replace("    upstream: v1\n", "    match: {path: /x}\n  - name: b b\n    upstream: v1\n")

    assert [line.split(" ")[1] for line in problems(text)] == ["routes[0]:", "routes[1].name:"]


def test_an_override_keeps_the_case_of_its_cookie() -> None:
    """Cookies are compared with case, headers without."""
    found = route("    upstream: v1\n    override: {header: X-Arm, cookie: MyArm, allow: [v1]}").override

    assert found is not None
    assert (found.header, found.cookie, found.allow) == ("x-arm", "MyArm", ("v1",))


def test_failures_are_outcomes_that_the_proxy_counts() -> None:
    """Every name exists there, and all but success, abort and override can be a failure."""
    outcomes = {outcome.name.lower() for outcome in Outcome}

    assert set(get_args(FailureName)) == outcomes - {"ok", "client_abort", "override"}
    assert set(DEFAULT_FAILURE) <= set(get_args(FailureName))


def test_no_outcome_at_all_may_count_as_a_failure() -> None:
    """An empty list is meant as it is written."""
    assert route("    upstream: v1\n    failure: []").failure == ()
