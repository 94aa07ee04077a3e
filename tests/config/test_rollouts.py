"""Rollouts: steps in all their forms, guardrails, and the older flat keys."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.rollouts import STEPS_MAX, Geometric, Linear, Rollout
from tests.config.text import SMALL, load, only_problem

TEXT = SMALL.replace("upstream: v1", "split: {kind: canary}")


def rollout(keys: str) -> Rollout:
    found = load(f"{TEXT}    rollout: {keys}\n").config.routes[0].rollout
    assert found is not None
    return found


def weights(steps: str) -> list[float]:
    return [step.weight for step in rollout(f"{{steps: {steps}}}").steps or ()]


def test_what_is_left_out_is_left_to_the_preset() -> None:
    """An empty rollout is a rollout; the schema invents no numbers for it."""
    found = rollout("{}")

    assert found.model_dump(mode="json") == {
        "enabled": True,
        "preset": "balanced",
        "on_expiry": "hold",
        "auto_start": True,
    }


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("[5%, 0.1, 1.0]", [0.05, 0.1, 1.0]),
        ("[{weight: 5%}, {weight: 100%}]", [0.05, 1.0]),
        ("[0.01%]", [0.0001]),
        ("[{linear: {from: 10%, to: 100%, count: 4}}]", [0.1, 0.4, 0.7, 1.0]),
        ("[{linear: {from: 10%, to: 100%, count: 10}}]", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("[{geometric: {from: 1%, to: 10%}}]", [0.01, 0.02, 0.04, 0.08, 0.1]),
        ("[{geometric: {from: 1%, to: 100%, factor: 10}}]", [0.01, 0.1, 1.0]),
        ("[1%, {linear: {from: 5%, to: 15%, count: 3}}, 100%]", [0.01, 0.05, 0.1, 0.15, 1.0]),
    ],
)
def test_steps(steps: str, expected: list[float]) -> None:
    """Weights, mappings and generators make one rising list, without rounding dust."""
    assert weights(steps) == expected


def test_conditions_of_a_step() -> None:
    """Time, requests and approval belong to one step, or to all that a generator makes."""
    first, second, third = (
        rollout(
            "{steps: [{weight: 5%, duration: 2m, requests: 500, approval: manual},"
            " {linear: {from: 50%, to: 100%, count: 2}, duration: 1h}]}"
        ).steps
        or ()
    )

    assert (first.duration, first.requests, first.approval) == (120.0, 500, "manual")
    assert (second.weight, second.duration, second.requests, second.approval) == (
        0.5,
        3600.0,
        None,
        "automatic",
    )
    assert (third.weight, third.duration) == (1.0, 3600.0)


def test_guardrails_keep_their_own_keys() -> None:
    """Only the kind knows what they mean; name and mode are common to all."""
    (first, second) = (
        rollout(
            "{guardrails: [{kind: error_rate, max: 2%}, {kind: x, name: n, mode: dry_run, deep: [1]}]}"
        ).guardrails
        or ()
    )

    assert (first.kind, first.name, first.mode, first.parameters) == (
        "error_rate",
        None,
        "enforce",
        {"max": "2%"},
    )
    assert (second.name, second.mode, second.parameters) == ("n", "dry_run", {"deep": [1]})


def test_the_older_flat_keys() -> None:
    """All five are understood, in the forms that people have in their files."""
    found = rollout(
        "{enabled: false, error_rate_threshold: 0.05, latency_threshold_multiplier: 1.5,"
        " min_requests_before_check: 100, check_interval_seconds: 10}"
    )

    assert not found.enabled
    assert found.error_rate_threshold == 0.05
    assert found.latency_threshold_multiplier == 1.5
    assert found.min_requests_before_check == 100
    assert found.check_interval_seconds == 10.0


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            "{steps: []}",
            "h.yaml:9:15: routes[0].rollout.steps: there is no step; write at least one weight, for ex",
        ),
        (
            "{steps: 5%}",
            "h.yaml:9:22: routes[0].rollout.steps: '5%' is not a list; write one such as [5%, 25%, 100",
        ),
        (
            "{steps: {linear: {from: 1%, to: 5%, count: 2}}}",
            "h.yaml:9:15: routes[0].rollout.steps: steps is not a list; put a dash or brackets around it",
        ),
        (
            "{steps: [5]}",
            "h.yaml:9:23: routes[0].rollout.steps[0]: 5 is more than everything; write 5% if that",
        ),
        (
            "{steps: [1]}",
            "h.yaml:9:23: routes[0].rollout.steps[0]: 1 could mean 1% or all of it; write 1% or 100%",
        ),
        (
            "{steps: [0%]}",
            "h.yaml:9:23: routes[0].rollout.steps[0]: 0% would get no requests; write at least 0.01%",
        ),
        (
            "{steps: [5%, 5%]}",
            "h.yaml:9:27: routes[0].rollout.steps[1]: 5% comes after 5%; list the weights in ris",
        ),
        (
            "{steps: [50%, {linear: {from: 1%, to: 5%, count: 2}}]}",
            "h.yaml:9:15: routes[0].rollout.steps: 1% comes after 50%; list the weights in rising order",
        ),
        (
            "{steps: [{linear: {from: 5%, to: 1%, count: 2}}]}",
            "h.yaml:9:47: routes[0].rollout.steps[0].linear.to: 1% is not above the 5% it starts from;"
            " ramp upwards",
        ),
        (
            "{steps: [{geometric: {from: 5%, to: 5%}}]}",
            "h.yaml:9:50: routes[0].rollout.steps[0].geometric.to: 5% is not above the 5% it starts from;"
            " ramp",
        ),
        (
            "{steps: [{geometric: {from: 0%, to: 5%}}]}",
            "h.yaml:9:42: routes[0].rollout.steps[0].geometric.from: 0% would get no requests; write at"
            " least 0.01%",
        ),
        (
            "{steps: [{linear: {from: 1%, to: 5%, count: 1}}]}",
            "h.yaml:9:58: routes[0].rollout.steps[0].linear.count: 1 is too little; use 2 or more",
        ),
        (
            "{steps: [{geometric: {from: 0.01%, to: 100%, factor: 1.01}}]}",
            "h.yaml:9:67: routes[0].rollout.steps[0].geometric.factor: 1.01 is too little; use 1.1 or more",
        ),
        (
            "{steps: [{linear: {from: 1%, to: 5%, count: 99}}, 6%, 7%]}",
            f"h.yaml:9:15: routes[0].rollout.steps: 101 steps are too many; use at most {STEPS_MAX}",
        ),
        (
            "{steps: [{weight: 5%, until: x}]}",
            "h.yaml:9:36: routes[0].rollout.steps[0].until: there is no such key; use one of: duration,"
            " requests,",
        ),
        (
            "{steps: [{weight: 5%, approval: yes}]}",
            "h.yaml:9:46: routes[0].rollout.steps[0].approval: 'yes' is not one of the choices; use one"
            " of: auto",
        ),
        ("{steps: [{duration: 5s}]}", "h.yaml:9:23: routes[0].rollout.steps[0].weight: is missing; add it"),
        (
            "{preset: balance}",
            "h.yaml:9:23: routes[0].rollout.preset: 'balance' is not one of the choices; did you m",
        ),
        (
            "{alpha: 0}",
            "h.yaml:9:22: routes[0].rollout.alpha: 0 is outside 0.01% to 50%; write an error chance such",
        ),
        (
            "{alpha: 60%}",
            "h.yaml:9:22: routes[0].rollout.alpha: 0.6 is outside 0.01% to 50%; write an error chance",
        ),
        ("{requests: -1}", "h.yaml:9:25: routes[0].rollout.requests: -1 is too little; use 0 or more"),
        (
            "{interval: 0s}",
            "h.yaml:9:25: routes[0].rollout.interval: 0 would leave no time at all; write a duration",
        ),
        (
            "{interval: 5s, check_interval_seconds: 5}",
            "h.yaml:9:53: routes[0].rollout.check_interval_seconds: says the same as interval; remove it",
        ),
        (
            "{guardrails: [error_rate]}",
            "h.yaml:9:28: routes[0].rollout.guardrails[0]: 'error_rate' is not a mapping;",
        ),
        (
            "{guardrails: [{max: 1%}]}",
            "h.yaml:9:28: routes[0].rollout.guardrails[0].kind: is missing; add it",
        ),
        (
            "{guardrails: [{kind: x, mode: off}]}",
            "h.yaml:9:44: routes[0].rollout.guardrails[0].mode: 'off' is not one of the choices; use one"
            " of: enf",
        ),
        (
            "{latency_threshold_multiplier: 0.5}",
            "h.yaml:9:45: routes[0].rollout.latency_threshold_multiplier: 0.5 is",
        ),
        (
            "{latency_threshold_multiplier: .nan}",
            "h.yaml:9:45: routes[0].rollout.latency_threshold_multiplier: nan",
        ),
        (
            "{enabled: 'no'}",
            "h.yaml:9:24: routes[0].rollout.enabled: 'no' is neither true nor false; write true or f",
        ),
        (
            "5%",
            "h.yaml:9:14: routes[0].rollout: '5%' is not a mapping; write it with keys: enabled, preset,"
            " steps,",
        ),
    ],
)
def test_a_rollout_that_cannot_be_followed_is_refused(keys: str, line: str) -> None:
    """At the place of the slip, with a way out."""
    assert only_problem(f"{TEXT}    rollout: {keys}\n").startswith(line)


shares = st.floats(0.001, 0.9)


@given(start=shares, rise=st.floats(0.01, 1), count=st.integers(2, STEPS_MAX))
def test_linear_weights_rise_evenly_from_start_to_end(start: float, rise: float, count: int) -> None:
    """Both ends are exact, and no stride differs by more than the rounding."""
    end = min(1.0, start + rise)
    found = Linear.model_validate({"from": start, "to": end, "count": count}).weights()

    assert abs(found[0] - start) <= 1e-6
    assert (found[-1], len(found)) == (end, count)
    strides = [after - before for before, after in pairwise(found)]
    assert max(strides) - min(strides) < 3e-6


@given(start=shares, rise=st.floats(0.01, 1), factor=st.floats(1.1, 1000))
def test_geometric_weights_rise_by_at_most_the_factor(start: float, rise: float, factor: float) -> None:
    """The end is always reached, by a last stride that is no longer than the others."""
    end = min(1.0, start + rise)
    found = Geometric.model_validate({"from": start, "to": end, "factor": factor}).weights()

    assert (found[0], found[-1]) == (start, end)
    assert all(1 < after / before <= factor * 1.01 for before, after in pairwise(found))
