"""What a reload would change, told in the values that people write."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings

from config.diff import RESTART_KEYS, diff
from config.schema import Config
from tests.config.strategies import configs
from tests.config.text import load

BASE = """\
listeners: [{bind: ":8080"}]
admin: {tokens: [{name: a, sha256: "%s", role: viewer}]}
upstreams:
  v1: {endpoints: ["http://a:1", "http://b:1"], release: "m:1"}
  v2: {endpoints: ["http://c:1"]}
routes:
  - name: first
    match: {path: /x, headers: {x-a: gold}}
    split: {kind: canary, stable: v1, canary: v2, weight: 5%%}
    rollout: {steps: [5%%, 100%%]}
  - name: second
    match: {path: /y}
    upstream: v1
""" % ("a" * 64)


def changes(old: str, new: str) -> list[str]:
    changed = BASE.replace(old, new)
    assert changed != BASE
    return [str(change) for change in diff(load(BASE).config, load(changed).config)]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("weight: 5%", "weight: 7%", ["~ routes.first.split.weight: 5% -> 7%"]),
        (
            "weight: 5%",
            "control: true",
            ["- routes.first.split.weight: 5%", "+ routes.first.split.control: true"],
        ),
        ("[5%, 100%]", "[5%, 50%]", ["~ routes.first.rollout.steps: [5%, 100%] -> [5%, 50%]"]),
        ("weight: 5%", "weight: ~", ["~ routes.first.split.weight: 5% -> 'null'"]),
        (", weight: 5%", ", weight: 5%, salt: ~", ["+ routes.first.split.salt: 'null'"]),
        ("x-a: gold", "x-a: true", ["~ routes.first.match.headers.x-a: gold -> true"]),
        ('release: "m:1"', 'release: "m:2"', ["~ upstreams.v1.release: m:1 -> m:2"]),
        (
            '"http://b:1"',
            '{url: "http://b:1", weight: 3}',
            ["~ upstreams.v1.endpoints.http://b:1.weight: 1 -> 3"],
        ),
        ('"http://a:1", "http://b:1"', '"http://b:1", "http://a:1"', []),
        (
            "    rollout: {steps: [5%, 100%]}\n",
            "",
            [
                "- routes.first.rollout: {enabled: true, preset: balanced, steps: "
                "[5%, 100%], on_expiry: hold, auto_start: true}"
            ],
        ),
        ("routes:\n", "timeouts: {total: 90}\nroutes:\n", ["~ timeouts.total: 0s -> 90s"]),
        ("routes:\n", "limits: {body_bytes: 1MiB}\nroutes:\n", ["~ limits.body_bytes: 0 -> 1MiB"]),
        ("routes:\n", "workers: 2\nroutes:\n", ["~ workers: 1 -> 2 (needs a restart)"]),
        (
            "routes:\n",
            "state: {directory: /x}\nroutes:\n",
            ["~ state.directory: .headgate -> /x (needs a restart)"],
        ),
        (
            '":8080"',
            '":8081"',
            [
                "- listeners.0.0.0.0:8080: {bind: '0.0.0.0:8080', backlog: 2048} (needs a restart)",
                "+ listeners.0.0.0.0:8081: {bind: '0.0.0.0:8081', backlog: 2048} (needs a restart)",
            ],
        ),
        (
            "  v2: {",
            '  v3: {endpoints: ["http://d:1"]}\n  v2: {',
            [
                "+ upstreams.v3: {endpoints: [{url: 'http://d:1', weight: 1}], release: '', balance:"
                " round_robin, balance_key: [], ejection: {failures: 5, base: 5s, longest: 5m, share: 50%,"
                " panic: 30%}, concurrency: 0, queue: {length: 100, time: 1s},"
                " timeouts: {}}"
            ],
        ),
    ],
)
def test_each_change_is_one_line(old: str, new: str, lines: list[str]) -> None:
    """With path, both values and whether a restart is needed."""
    assert changes(old, new) == lines


def test_writing_the_same_otherwise_is_no_change() -> None:
    """Units, anchors, comments and the order of upstreams are form."""
    other = (
        BASE.replace(":8080", "0.0.0.0:8080")
        .replace("match: {path: /y}", "match: {path: /y, methods: []}")
        .replace("upstreams:", "timeouts: {connect: 5000ms}  # the default\nupstreams:")
    )

    assert diff(load(BASE).config, load(other).config) == []


def test_the_order_of_routes_is_a_change() -> None:
    """The first that matches is taken."""
    head, _, routes = BASE.partition("routes:\n")
    first, _, second = routes.partition("  - name: second")
    swapped = f"{head}routes:\n  - name: second{second}{first}"

    assert [str(change) for change in diff(load(BASE).config, load(swapped).config)] == [
        "~ routes.order: [first, second] -> [second, first]"
    ]


def test_digests_of_tokens_are_not_shown() -> None:
    """A diff ends in terminals, logs and tickets."""
    assert changes("a" * 64, "b" * 64) == [
        "~ admin.tokens.a.sha256: (one token) -> (another token) (needs a restart)"
    ]
    added = changes("role: viewer}", f"role: viewer}}, {{name: b, sha256: '{'c' * 64}', role: admin}}")
    assert added == ["+ admin.tokens.b: {name: b, sha256: (hidden), role: admin} (needs a restart)"]


@given(one=configs, other=configs)
@settings(max_examples=30, deadline=None)
def test_no_change_means_equal_and_the_reverse_swaps_the_sides(one: Config, other: Config) -> None:
    """The diff is empty exactly when both mean the same, and symmetric."""
    there, back = diff(one, other), diff(other, one)

    assert diff(one, one) == []
    assert bool(there) == (_without_order(one) != _without_order(other))
    assert {change.path for change in there} == {change.path for change in back}
    assert all(change.restart == (change.path[0] in RESTART_KEYS) for change in there)


def _without_order(config: Config) -> Any:
    """The plain form with entries whose order has no meaning put in order."""
    value = copy.deepcopy(config.to_json())
    value["listeners"].sort(key=lambda entry: str(entry["bind"]))
    for upstream in value["upstreams"].values():
        upstream["endpoints"].sort(key=lambda entry: str(entry["url"]))
    return value
