"""What an upstream gets instead of what the client sent."""

from __future__ import annotations

from typing import Any

import pytest

from config.load import load_text
from config.problems import ConfigError
from proxy.plain import PlainError
from proxy.rewriting import Rewrite, read_rewrite

HEAD = b"GET /v2/models/fraud?x=/v2 HTTP/1.1\r\nhost: a.example\r\nX-Team: me\r\ncookie: c=1\r\n"


def rewrite(**entry: Any) -> Rewrite:
    """A rewrite from its form in a table."""
    found = read_rewrite(entry, "rewrite")
    assert found is not None
    return found


def test_headers_are_added_and_left_out() -> None:
    """What is added replaces what the client said under that name, in whatever case."""
    changed = rewrite(add={"x-team": "fraud", "authorization": "Bearer t"}, remove=["cookie"])

    assert changed.apply(HEAD) == (
        b"GET /v2/models/fraud?x=/v2 HTTP/1.1\r\nhost: a.example\r\n"
        b"x-team: fraud\r\nauthorization: Bearer t\r\n"
    )


def test_the_host_is_another() -> None:
    """In the place where it stood, and once."""
    assert rewrite(host="model.internal").apply(HEAD) == HEAD.replace(b"a.example", b"model.internal")


@pytest.mark.parametrize(
    ("prefix", "replace", "target", "expected"),
    [
        ("/v2/models/fraud", "/v1/fraud-b", b"/v2/models/fraud", b"/v1/fraud-b"),
        ("/v2/models/fraud", "/v1/fraud-b", b"/v2/models/fraud/infer?q=1", b"/v1/fraud-b/infer?q=1"),
        ("/v2/models/fraud", "/v1/fraud-b", b"/v2/models/frauds", b"/v2/models/frauds"),
        ("/v2/", "/", b"/v2", b"/"),
        ("/v2", "/", b"/v2/x?y", b"/x?y"),
        ("/", "/base", b"/x", b"/base/x"),
        # Another spelling of the same path, which the route has taken.
        ("/v2", "/v3", b"/%76%32/x", b"/v3/x"),
        ("/v2", "/v3", b"/a/../v2/x", b"/v3/x"),
        ("/v2", "/v3", b"http://h/v2/x?y", b"/v3/x?y"),
        ("/v2", "/v3", b"*", b"*"),
    ],
)
def test_the_path_begins_differently(prefix: str, replace: str, target: bytes, expected: bytes) -> None:
    """By whole segments; the rest and the query stay."""
    head = b"GET " + target + b" HTTP/1.1\r\nhost: h\r\n"

    changed = rewrite(path={"prefix": prefix, "replace": replace}).apply(head)

    assert changed == b"GET " + expected + b" HTTP/1.1\r\nhost: h\r\n"


def test_nothing_to_rewrite_is_none() -> None:
    """So that the hot path has nothing to do."""
    assert read_rewrite(None, "rewrite") is None
    with pytest.raises(PlainError, match=r"rewrite\.remove"):
        read_rewrite({"remove": "cookie"}, "rewrite")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{add: {Content-Length: '5'}}", "content-length cannot be rewritten"),
        ("{remove: [host]}", "host cannot be rewritten"),
        ('{add: {x-a: "a\\r\\nx-b: c"}}', "holds other than visible ASCII"),
        ("{host: '*.example.com'}", "names many hosts"),
        ("{path: {prefix: v2, replace: /}}", "is not a path"),
    ],
)
def test_what_would_break_a_message_is_refused(text: str, problem: str) -> None:
    """At load; and the value of a header, which may be a credential, is not shown."""
    config = (
        "listeners: [{bind: ':1'}]\nroutes: [{name: r, upstream: v1}]\n"
        f"upstreams: {{v1: {{endpoints: ['http://127.0.0.1:9'], rewrite: {text}}}}}\n"
    )

    with pytest.raises(ConfigError, match=problem) as error:
        load_text(config, file="h.yaml", environ={})

    assert "x-b" not in str(error.value)
