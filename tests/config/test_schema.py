"""The whole configuration: defaults, plain form, and what the plain form guarantees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from config.schema import Config
from tests.config.strategies import configs, plain_configs
from tests.config.text import SMALL, load, only_problem


@given(config=configs)
@settings(max_examples=30, deadline=None)
def test_plain_values_are_the_same_configuration(config: Config) -> None:
    """Through JSON text and back nothing changes, so two processes agree on every number."""
    text = json.dumps(config.to_json(), allow_nan=False)

    assert Config.from_json(json.loads(text)) == config
    assert json.dumps(Config.from_json(json.loads(text)).to_json()) == text


@given(plain=plain_configs())
@settings(max_examples=30, deadline=None)
def test_plain_values_carry_no_units(plain: dict[str, Any]) -> None:
    """Durations are seconds as floats, sizes whole numbers, addresses text; what is unset is not there."""
    value = Config.from_json(plain).to_json()

    assert all(type(each) is float for each in value["timeouts"].values())
    assert all(type(each) is int for each in value["limits"].values())
    assert all(type(each["bind"]) is str for each in value["listeners"])
    for upstream in value["upstreams"].values():
        assert all(type(each) is float for each in upstream["timeouts"].values())
    for route in value["routes"]:
        for step in route.get("rollout", {}).get("steps", ()):
            assert type(step["weight"]) is float


def test_defaults() -> None:
    """What an operator gets who says nothing; a change here is a change for everybody."""
    value = load(SMALL).config.to_json()

    assert value["admin"] == {"bind": "127.0.0.1:9901", "tokens": []}
    assert value["workers"] == 1
    assert value["state"] == {"directory": ".headgate"}
    assert value["timeouts"] == {
        "connect": 5.0,
        "request_head": 10.0,
        "request_body_idle": 60.0,
        "first_byte": 60.0,
        "stream_idle": 300.0,
        "total": 0.0,
        "keepalive_idle": 75.0,
        "upstream_idle": 55.0,
        "drain": 30.0,
        "drain_delay": 0.0,
        "handover": 0.0,
    }
    assert value["limits"] == {
        "head_bytes": 65536,
        "headers": 128,
        "body_bytes": 0,
        "inspect_bytes": 1048576,
        "connections": 10000,
        "upstream_connections": 1024,
        "pool_idle": 64,
        "body_rate": 0,
        "read_rate": 0,
    }
    assert value["headers"] == {
        "request_id": "x-request-id",
        "variant": "x-headgate-variant",
        "forwarded": "append",
    }
    assert value["startup"] == {"upstream_wait": 10.0, "require_upstreams": True}
    assert value["upstreams"]["v1"] == {
        "endpoints": [{"url": "http://127.0.0.1:9001", "weight": 1}],
        "release": "",
        "balance": "round_robin",
        "balance_key": [],
        "ejection": {"failures": 5, "base": 5.0, "longest": 300.0, "share": 0.5, "panic": 0.3},
        "concurrency": 0,
        "queue": {"length": 100, "time": 1.0},
        "timeouts": {},
    }
    assert value["routes"][0] == {
        "name": "all",
        "match": {"methods": [], "headers": {}},
        "upstream": "v1",
        "failure": [
            "upstream_5xx",
            "connect_failed",
            "timeout_connect",
            "timeout_first_byte",
            "timeout_idle",
            "timeout_total",
            "reset",
            "stream_truncated",
            "stream_error",
            "invalid_response",
        ],
        "divert": {"enabled": True, "failures": 6, "probe_interval": 1.0, "recover": 3},
        "timeouts": {},
        "retries": {"attempts": 1, "share": 0.2, "minimum": 5.0},
        "shadows": [],
        "metrics": [],
    }


def test_a_configuration_cannot_be_changed() -> None:
    """What a request may be reading is never edited."""
    config = load(SMALL).config

    with pytest.raises(ValidationError, match="frozen"):
        config.workers = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.timeouts.connect = 2.0  # type: ignore[misc]


def test_checks_between_parts_hold_for_plain_values_too() -> None:
    """The other side of the link relies on them."""
    value = load(SMALL).config.to_json()
    value["admin"]["bind"] = "0.0.0.0:9901"

    with pytest.raises(ValidationError, match="no token guards it"):
        Config.from_json(value)


@pytest.mark.parametrize(
    ("addition", "line"),
    [
        ("workers: 0", "h.yaml:9:10: workers: 0 is not a number of workers; write 1 to 256, or auto"),
        ("workers: 257", "h.yaml:9:10: workers: 257 is not a number of workers; write 1 to 256, or auto"),
        ("workers: many", "h.yaml:9:10: workers: 'many' is not a number of workers; write 1 to 256, or auto"),
        ("workers: true", "h.yaml:9:10: workers: true is not a number of workers; write 1 to 256, or auto"),
        ("wrokers: 2", "h.yaml:9:1: wrokers: there is no such key; did you mean workers?"),
        (
            "zzz: 2",
            "h.yaml:9:1: zzz: there is no such key; use one of: listeners, admin, workers, state,"
            " timeouts, limits, overload,"
            " headers, startup,",
        ),
        ("state: here", "h.yaml:9:8: state: 'here' is not a mapping; write it with keys: directory"),
        ("state: {directory: ''}", "h.yaml:9:20: state.directory: is empty; write something"),
        ("state: {directory: 7}", "h.yaml:9:20: state.directory: 7 is not text; put it in quotes"),
        (
            "timeouts: {connect: 0}",
            "h.yaml:9:21: timeouts.connect: 0 would leave no time at all; write a duration",
        ),
        (
            "timeouts: {conect: 1s}",
            "h.yaml:9:12: timeouts.conect: there is no such key; did you mean connect?",
        ),
        (
            "limits: {head_bytes: 1KB}",
            "h.yaml:9:22: limits.head_bytes: '1KB' is too little; use 1024 or more",
        ),
        (
            "limits: {head_bytes: 2MiB}",
            "h.yaml:9:22: limits.head_bytes: '2MiB' is too much; use 1048576 or less",
        ),
        (
            "limits: {headers: 1.5}",
            "h.yaml:9:19: limits.headers: 1.5 is not a whole number; write one such as 8,",
        ),
        ("limits: {headers: 0}", "h.yaml:9:19: limits.headers: 0 is too little; use 1 or more"),
        (
            "headers: {forwarded: apend}",
            "h.yaml:9:22: headers.forwarded: 'apend' is not one of the choices; did you",
        ),
        (
            "headers: {forwarded: x}",
            "h.yaml:9:22: headers.forwarded: 'x' is not one of the choices; use one of: ap",
        ),
        (
            "headers: {request_id: ''}",
            "h.yaml:9:23: headers.request_id: '' is not a header name; write a token",
        ),
        (
            "headers: {variant: Host}",
            "h.yaml:9:20: headers.variant: host has a meaning of its own; choose another",
        ),
        (
            "headers: {variant: X-Request-Id}",
            "h.yaml:9:20: headers.variant: x-request-id already carries the request id; choose another name",
        ),
        (
            "startup: {require_upstreams: 'yes'}",
            "h.yaml:9:30: startup.require_upstreams: 'yes' is neither true nor false; write true or"
            " false, without",
        ),
        (
            "admin: {tokens: [{name: a, sha256: " + "a" * 64 + ", role: amin}]}",
            "h.yaml:9:108: admin.tokens[0].role: 'amin' is not one of the choices; did you mean admin?",
        ),
        (
            "admin: {tokens: {}}",
            "h.yaml:9:9: admin.tokens: a mapping is not a list; write it in brackets or with da",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_a_way_out(addition: str, line: str) -> None:
    """One slip, one line, at the place of the slip."""
    found = only_problem(SMALL + addition + "\n")

    assert found.startswith(line)


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("listeners", "h.yaml:1:1: listeners: is missing; add it"),
        ("upstreams", "h.yaml:1:1: upstreams: is missing; add it"),
        ("routes", "h.yaml:1:1: routes: is missing; add it"),
    ],
)
def test_what_must_be_there_is_named(section: str, line: str) -> None:
    """Three sections have no default."""
    start = SMALL.index(section + ":")
    rest = SMALL[start:]
    end = min(
        (rest.find(f"\n{key}:") + 1 for key in ("upstreams", "routes") if f"\n{key}:" in rest),
        default=len(rest),
    )

    found = only_problem(SMALL[:start] + rest[end:])

    assert found == line


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('  - bind: "127.0.0.1:8080"', "  []", "h.yaml:1:1: listeners: is empty; give it at least one entry"),
        (
            "  - name: all\n    upstream: v1",
            "  []",
            "h.yaml:6:1: routes: is empty; give it at least one entry",
        ),
        (
            '  v1:\n    endpoints: ["http://127.0.0.1:9001"]',
            "  {}",
            "h.yaml:3:1: upstreams: is empty; give it at",
        ),
    ],
)
def test_an_empty_section_is_no_section(old: str, new: str, line: str) -> None:
    """There must be somewhere to listen and somewhere to go."""
    assert only_problem(SMALL.replace(old, new)).startswith(line)
