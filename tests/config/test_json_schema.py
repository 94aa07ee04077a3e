"""The JSON Schema accepts what the loader accepts and catches what an editor can catch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from config.json_schema import schema
from config.render import plain
from config.schema import Config
from config.source import read_yaml
from tests.config.strategies import configs, plain_configs
from tests.config.text import SMALL

VALIDATOR = Draft202012Validator(schema())


def complaints(text: str) -> list[str]:
    value = read_yaml(text.replace("${", "$${"), "h.yaml", {}).value
    return [error.json_path for error in VALIDATOR.iter_errors(value)]


def test_it_is_a_json_schema_of_the_newest_draft() -> None:
    """Editors choose by the dialect."""
    Draft202012Validator.check_schema(schema())

    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@given(value=plain_configs())
@settings(max_examples=30, deadline=None)
def test_what_the_loader_accepts_an_editor_accepts(value: dict[str, Any]) -> None:
    """In the forms that people write."""
    Config.from_json(value)

    VALIDATOR.validate(value)


@given(config=configs)
@settings(max_examples=20, deadline=None)
def test_what_is_written_out_an_editor_accepts(config: Config) -> None:
    """Short and long forms, with and without defaults."""
    VALIDATOR.validate(plain(config))
    VALIDATOR.validate(plain(config, defaults=True, short=False))


@pytest.mark.parametrize(
    ("addition", "path"),
    [
        ("wrokers: 2", "$"),
        ("workers: 0", "$.workers"),
        ("workers: all", "$.workers"),
        ("timeouts: {connect: 5 seconds}", "$.timeouts.connect"),
        ("timeouts: {conect: 5s}", "$.timeouts"),
        ("limits: {headers: many}", "$.limits.headers"),
        ("limits: {body_bytes: 5x}", "$.limits.body_bytes"),
        ("headers: {forwarded: drop}", "$.headers.forwarded"),
        ("admin: {bind: 9901}", "$.admin.bind"),
        ("admin: {tokens: [{name: a}]}", "$.admin.tokens[0]"),
        ("    match: {path: x}", "$.routes[0].match.path"),
        ("    failure: [upstream_6xx]", "$.routes[0].failure[0]"),
        ("    split: {stable: v1}", "$.routes[0].split"),
        ("    rollout: {steps: [five]}", "$.routes[0].rollout.steps[0]"),
        ("    rollout: {steps: [{linear: {from: 5%}}]}", "$.routes[0].rollout.steps[0]"),
        ("    rollout:", "$.routes[0].rollout"),
    ],
)
def test_a_slip_is_marked_while_it_is_written(addition: str, path: str) -> None:
    """At the place where it stands."""
    assert complaints(SMALL + addition + "\n") == [path]


def test_every_scalar_may_come_from_the_environment() -> None:
    """An editor sees `${NAME}` where the loader will see a number or a boolean."""
    text = """\
listeners:
  - bind: ${BIND}
    backlog: ${BACKLOG:-128}
admin:
  tokens: [{name: '${NAME}', sha256: '${DIGEST}', role: '${ROLE}'}]
workers: ${WORKERS}
timeouts:
  connect: ${CONNECT}s
limits:
  body_bytes: ${BODY}
startup:
  require_upstreams: ${REQUIRE}
upstreams:
  v1:
    endpoints: ['http://${HOST}:9001', '${URL}']
    balance: ${BALANCE}
routes:
  - name: ${ROUTE}
    match:
      headers: {x-a: '${VALUE}'}
      methods: ['${METHOD}']
    split: {kind: hash}
    rollout:
      steps: ['${FIRST}', 100%]
"""
    assert complaints(text) == []


def test_kinds_bring_their_own_keys() -> None:
    """With them an editor completes and checks what is inside a split or guardrail."""
    own: dict[str, dict[str, Any]] = {
        "direct": {
            "type": "object",
            "properties": {"upstream": {"type": "string"}},
            "required": ["upstream"],
        },
        "open": {"properties": {}, "additionalProperties": True, "description": "Takes anything."},
    }
    guard = {"error_rate": {"properties": {"max": {"type": "number"}}, "required": ["max"]}}
    whole = schema(split_kinds=own, guardrail_kinds=guard)
    Draft202012Validator.check_schema(whole)
    validator = Draft202012Validator(whole)

    def valid(split: dict[str, Any], guardrails: list[dict[str, Any]]) -> bool:
        route = {"name": "r", "split": split, "rollout": {"guardrails": guardrails}}
        value = {
            "listeners": [{"bind": ":1"}],
            "upstreams": {"v1": {"endpoints": ["http://a:1"]}},
            "routes": [route],
        }
        return bool(validator.is_valid(value))

    good = {"kind": "direct", "upstream": "v1"}
    assert valid(good, [{"kind": "error_rate", "max": 0.1, "mode": "warn", "name": "n"}])
    assert valid({"kind": "open", "more": [1]}, [])
    assert not valid({"kind": "direct"}, [])
    assert not valid({"kind": "direct", "upstream": "v1", "more": 1}, [])
    assert not valid({"kind": "other"}, [])
    assert not valid(good, [{"kind": "error_rate"}])
    assert not valid(good, [{"kind": "error_rate", "max": 0.1, "mode": "off"}])


def test_kinds_may_give_their_properties_alone() -> None:
    """Both forms say the same."""
    properties = {"max": {"type": "number"}}
    closed = {"type": "object", "properties": properties}

    assert schema(guardrail_kinds={"a": properties}) == schema(guardrail_kinds={"a": closed})
    assert schema(guardrail_kinds={"a": {}}) == schema(guardrail_kinds={"a": {"type": "object"}})


def test_every_key_is_explained() -> None:
    """An editor shows what a key means, and its default as people write it."""
    whole = schema()

    def descriptions(name: str, definition: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for key, described in definition.get("properties", {}).items():
            yield f"{name}.{key}", described.get("description", "") or str(described.get("$ref", ""))

    found = dict(
        pair
        for name, definition in [("", whole), *whole["$defs"].items()]
        for pair in descriptions(name, definition)
    )

    assert len(found) > 90
    assert [key for key, description in found.items() if len(description) < 10] == []
    assert whole["$defs"]["Timeouts"]["properties"]["connect"]["default"] == "5s"
    assert whole["$defs"]["Limits"]["properties"]["head_bytes"]["default"] == "64KiB"
    assert whole["$defs"]["Admin"]["properties"]["bind"]["default"] == "127.0.0.1:9901"
    assert '{"type": "null"}' not in str(whole).replace("'", '"')
