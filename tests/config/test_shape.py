"""Paths of a file lead to the models that read them."""

from __future__ import annotations

import pytest

from config.rollouts import (
    EvidenceSteps,
    GeometricSteps,
    Guardrail,
    Linear,
    LinearSteps,
    Rollout,
    ShadowStep,
    Step,
)
from config.routes import HeaderRegex, Route, Split
from config.schema import Config
from config.serving import Timeouts, Token
from config.shape import field_at, keys, models_at, readers
from config.upstreams import Endpoint, Upstream
from config.values import parse_duration, parse_fraction, parse_size


@pytest.mark.parametrize(
    ("path", "models"),
    [
        ((), {Config}),
        (("timeouts",), {Timeouts}),
        (("admin", "tokens", 3), {Token}),
        (("upstreams", "any"), {Upstream}),
        (("upstreams", "any", "endpoints", 0), {Endpoint}),
        (("routes", 7), {Route}),
        (("routes", 0, "match", "headers", "x-a"), {HeaderRegex}),
        (("routes", 0, "split"), {Split}),
        (("routes", 0, "rollout"), {Rollout}),
        (("routes", 0, "rollout", "guardrails", 0), {Guardrail}),
        (
            ("routes", 0, "rollout", "steps", 0),
            {Step, LinearSteps, GeometricSteps, EvidenceSteps, ShadowStep},
        ),
        (("routes", 0, "rollout", "steps", 0, "linear"), {Linear}),
        (("routes", 0, "split", "own"), set()),
        (("nowhere",), set()),
        (("workers",), set()),
        (("routes", "name"), set()),
    ],
)
def test_models_at_a_path(path: tuple[str | int, ...], models: set[type]) -> None:
    """All that a mapping at the path may be, none where a kind decides."""
    assert set(models_at(Config, path)) == models


def test_keys_are_those_of_the_file() -> None:
    """`from` is a word of Python, so the schema calls it otherwise."""
    assert keys([Linear]) == ["from", "to", "count"]
    assert field_at(Linear, "from") is Linear.model_fields["start"]
    assert field_at(Linear, "start") is None


@pytest.mark.parametrize(
    ("model", "key", "reader"),
    [
        (Timeouts, "connect", parse_duration),
        (Rollout, "alpha", parse_fraction),
        (Rollout, "duration", parse_duration),
        (Step, "weight", parse_fraction),
    ],
)
def test_how_a_field_is_read(model: type[Rollout], key: str, reader: object) -> None:
    """Optional or not, the unit is known."""
    info = field_at(model, key)

    assert info is not None
    assert readers(info)[0] is reader


def test_a_number_without_a_unit_has_no_reader() -> None:
    """Counts are just counts."""
    info = field_at(Rollout, "requests")

    assert info is not None
    assert parse_size not in readers(info)
    assert readers(info) == []
