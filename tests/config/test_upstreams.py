"""Upstreams and their endpoints."""

from __future__ import annotations

import pytest

from tests.config.text import SMALL, load, only_problem

ENDPOINTS = '["http://127.0.0.1:9001"]'


def test_an_endpoint_is_a_url_or_a_mapping() -> None:
    """Both forms mean the same; host and port are at hand."""
    text = SMALL.replace(ENDPOINTS, '["http://a", {url: "http://[::1]:9", weight: 3}]')
    first, second = load(text).config.upstreams["v1"].endpoints

    assert (first.url, first.host, first.port, first.weight) == ("http://a:80", "a", 80, 1)
    assert (second.url, second.host, second.port, second.weight) == ("http://[::1]:9", "::1", 9, 3)


@pytest.mark.parametrize(
    ("endpoints", "line"),
    [
        ("[]", "h.yaml:5:5: upstreams.v1.endpoints: there is no address to send requests to; add one"),
        (
            "http://a",
            "h.yaml:5:16: upstreams.v1.endpoints: 'http://a' is not a list; write it in brackets: [http:/",
        ),
        (
            "[{wieght: 3, url: 'http://a'}]",
            "h.yaml:5:18: upstreams.v1.endpoints[0].wieght: there is no such key; did",
        ),
        ("[{weight: 3}]", "h.yaml:5:17: upstreams.v1.endpoints[0].url: is missing; add it"),
        (
            "['http://a', 'http://A:80']",
            "h.yaml:5:29: upstreams.v1.endpoints[1]: the same address as endpoints[0];",
        ),
        (
            "[{url: 'http://a', weight: 0}]",
            "h.yaml:5:43: upstreams.v1.endpoints[0].weight: 0 is too little; use 1",
        ),
        ("[8080]", "h.yaml:5:17: upstreams.v1.endpoints[0]: 8080 is not a URL; write http://host:port"),
    ],
)
def test_what_is_no_endpoint_is_refused_at_its_place(endpoints: str, line: str) -> None:
    """The short form is reported where it stands, the long one at its key."""
    assert only_problem(SMALL.replace(ENDPOINTS, endpoints)).startswith(line)


def test_a_name_of_an_upstream_is_a_name() -> None:
    """It stands in headers and cookies as it is; the fault is at the key."""
    text = SMALL.replace("  v1:", "  v 1:").replace("upstream: v1", "split: {kind: direct}")

    assert only_problem(text).startswith(
        "h.yaml:4:3: upstreams.v 1: 'v 1' is not a name; use up to 64 letters"
    )


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("release: 1.0", "h.yaml:6:14: upstreams.v1.release: 1.0 is not text; put it in quotes"),
        (
            "balance: random",
            "h.yaml:6:14: upstreams.v1.balance: 'random' is not one of the choices; use one of: r",
        ),
        (
            "release: [a]",
            "h.yaml:6:5: upstreams.v1.release: a list is not text; write a word, or text in quotes",
        ),
    ],
)
def test_other_keys(key: str, line: str) -> None:
    """A version that YAML takes for a number needs quotes."""
    assert only_problem(SMALL.replace(ENDPOINTS, f"{ENDPOINTS}\n    {key}")).startswith(line)
