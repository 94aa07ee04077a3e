"""The example files load, compile, satisfy the JSON Schema and show everything there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import config
from config.json_schema import schema
from config.load import load_file
from config.render import plain
from config.schema import Config
from config.shape import keys, models_at
from config.source import read_yaml
from control.guardrails.base import Guardrail
from control.guardrails.load import load_all
from control.plans.plan import RolloutPlan
from proxy.compile import check_config, compile_table, split_schemas

EXAMPLES = sorted((Path(config.__file__).parent / "examples").glob("*.yaml"))
FULL = next(path for path in EXAMPLES if path.name == "full.yaml")


def test_the_examples_are_those_of_the_documentation() -> None:
    """Each is named there, and none is missing."""
    text = (Path(config.__file__).parent.parent / "docs" / "configuration.md").read_text()

    assert [path.name for path in EXAMPLES] == [
        "canary.yaml",
        "full.yaml",
        "hash-experiment.yaml",
        "kserve.yaml",
        "llm.yaml",
        "minimal.yaml",
    ]
    assert all(f"`{path.name}`" in text for path in EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_can_be_used_as_it_is(path: Path) -> None:
    """Without a variable set, without a fault of any kind."""
    loaded = load_file(path, {})

    assert check_config(loaded) == []
    for route in loaded.config.routes:
        metrics = [metric.model_dump(mode="json") for metric in route.metrics]
        assert route.rollout is None or RolloutPlan.problems(route.rollout, metrics) == []
    assert compile_table(loaded.config, revision=1, states={})["routes"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_satisfies_the_json_schema(path: Path) -> None:
    """As it is written, with the kinds' own keys checked."""
    value = read_yaml(path.read_text().replace("${", "$${"), path.name, {}).value

    load_all()
    guardrails = {kind: dict(guardrail.schema) for kind, guardrail in Guardrail.kinds.items()}

    Draft202012Validator(schema(split_kinds=split_schemas(), guardrail_kinds=guardrails)).validate(value)


def test_the_full_example_has_every_key() -> None:
    """A key that is added to the schema is added there."""
    value = read_yaml(FULL.read_text(), "full.yaml", {}).value
    written: dict[str, set[str]] = {}

    def collect(value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for model in models_at(Config, path):
                written.setdefault(model.__name__, set()).update(value)
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, item in items:
            collect(item, (*path, key))

    collect(value, ())
    models = _models()
    # One of these at most takes the place of the default, which the example shows.
    written["State"] |= {"database", "database_env", "database_file"}
    # The flat form has its own name for the interval; a route has either upstream or split.
    assert set(written) >= {model.__name__ for model in models}
    for model in models:
        assert set(keys([model])) <= written[model.__name__], model.__name__


def test_the_full_example_says_which_values_are_defaults() -> None:
    """Its first sections hold nothing but defaults, as its header promises."""
    config = load_file(FULL, {}).config
    given = plain(config)

    assert set(given) == {"listeners", "admin", "registry", "upstreams", "routes", "freezes", "notifications"}
    assert set(given["admin"]) == {"tokens", "tls"}
    assert config.routes[0].failure == type(config.routes[0]).model_fields["failure"].default


def _models() -> list[type[Any]]:
    found: list[type[Any]] = []

    def visit(path: tuple[str | int, ...], depth: int) -> None:
        for model in models_at(Config, path):
            if model not in found:
                found.append(model)
            if depth:
                for key in keys([model]):
                    visit((*path, key), depth - 1)
                    visit((*path, key, 0), depth - 1)
                    visit((*path, key, "name"), depth - 1)

    visit((), 4)
    return found
