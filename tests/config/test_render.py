"""A configuration that is written out loads as the same configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.load import load_text
from config.render import plain, to_line, to_yaml
from config.schema import Config
from tests.config.strategies import configs, plain_values
from tests.config.text import SMALL, load


@given(config=configs)
@settings(max_examples=40, deadline=None)
def test_what_is_written_loads_as_the_same_configuration(config: Config) -> None:
    """No name, text, duration, share or parameter changes on the way through a file."""
    text = to_yaml(config)

    assert load_text(text, file="written", environ={}).config == config


def test_defaults_are_left_out() -> None:
    """What the operator did not say is not said for them."""
    assert plain(load(SMALL).config) == {
        "listeners": [{"bind": "127.0.0.1:8080"}],
        "upstreams": {"v1": {"endpoints": ["http://127.0.0.1:9001"]}},
        "routes": [{"name": "all", "upstream": "v1"}],
    }


def test_numbers_are_written_with_their_units() -> None:
    """Durations, shares and sizes look as they do in the documentation."""
    config = load(
        SMALL.replace(
            "routes:",
            "timeouts: {connect: 0.25, total: 5400}\nlimits: {body_bytes: 10485760}\nroutes:",
        ).replace(
            "upstream: v1",
            "split: {kind: canary}\n    rollout: {steps: [0.0005, {weight: 0.07, duration: 90}], alpha:"
            " 0.001}",
        )
    ).config

    written = plain(config)

    assert written["timeouts"] == {"connect": "250ms", "total": "90m"}
    assert written["limits"] == {"body_bytes": "10MiB"}
    assert written["routes"][0]["rollout"] == {
        "steps": ["0.05%", {"weight": "7%", "duration": "90s"}],
        "alpha": "0.1%",
    }


def test_text_that_looks_like_a_variable_stays_text() -> None:
    """`${` in a value is escaped, or the next load would ask the environment for it."""
    config = load(SMALL.replace("    endpoints", '    release: "a $${HOME} b"\n    endpoints')).config

    assert config.upstreams["v1"].release == "a ${HOME} b"
    assert "$${HOME}" in to_yaml(config)


@pytest.mark.parametrize(
    "word", ["true", "null", "1e3", "0x10", "12", "~", "1.5", ".inf", "<<", "", " a", "- a"]
)
def test_text_that_looks_like_another_type_is_quoted(word: str) -> None:
    """A release named `1e3` is not a number after it was written."""
    config = Config.from_json(
        {**load(SMALL).config.to_json(), "upstreams": {"v1": {"endpoints": ["http://a:1"], "release": word}}}
    )

    assert load(to_yaml(config)).config.upstreams["v1"].release == word


@given(value=plain_values | st.lists(plain_values))
@settings(max_examples=50, deadline=None)
def test_a_value_in_one_line_has_no_line_break(value: Any) -> None:
    """Messages and differences stay on one line whatever they show."""
    assert "\n" not in to_line(value)
