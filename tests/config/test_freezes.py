"""Freezes and receivers as people write them: what is accepted, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from config.freezes import Freeze
from config.rollouts import Rollout, Step
from config.webhooks import GateWebhook, Notification


def problems(model: Any, value: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return "\n".join(f"{detail['loc']}: {detail['msg']}" for detail in caught.value.errors())


def test_both_forms_of_a_freeze_are_read() -> None:
    """Weekly hours keep their zone; a single period keeps its distance from UTC."""
    weekly = Freeze.model_validate({"name": "w", "days": ["fri"], "from": "18:00", "to": "24:00"})
    once = Freeze.model_validate(
        {"name": "o", "since": "2026-12-20T18:00:00Z", "until": "2027-01-02 06:00+01:00"}
    )

    assert (weekly.days, weekly.start, weekly.end, weekly.time_zone) == (("fri",), "18:00", "24:00", "UTC")
    assert (once.since, once.until) == ("2026-12-20T18:00:00+00:00", "2027-01-02T06:00:00+01:00")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"from": 1080}, "put it in quotes"),
        ({"from": "25:00"}, "is not a time of day"),
        ({"time_zone": "Mars/Olympus"}, "is not a time zone known here"),
        ({"since": "2026-12-20T18:00:00Z"}, "there is no until"),
        ({"since": "2026-12-20T18:00:00", "until": "2026-12-21T00:00:00Z"}, "how far from UTC"),
        ({"since": "2026-12-20T18:00:00Z", "until": "2026-12-20T18:00:00Z"}, "is not after since"),
        ({"since": "2026-12-20T18:00:00Z", "until": "2026-12-21T00:00Z", "days": ["mon"]}, "weekly hours"),
        ({"days": ["mon", "mon"]}, "is listed twice"),
    ],
)
def test_a_freeze_that_cannot_be_meant_is_refused(value: dict[str, Any], said: str) -> None:
    """Each with what would do."""
    assert said in problems(Freeze, {"name": "x", **value})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "exactly one of url and url_env"),
        ({"url": "https://a.example/", "url_env": "A"}, "exactly one of url and url_env"),
        ({"url": "ftp://a.example/"}, "not an http or https URL"),
        ({"url": "https://user:secret@a.example/"}, "a URL that names no host, or a user"),
        ({"url": "https://a.example/", "secret_env": "no name"}, "not the name of a variable"),
        (
            {"url": "https://a.example/", "secret_env": "A", "secret_file": "/b"},
            "says the same as secret_env",
        ),
    ],
)
def test_a_receiver_that_cannot_be_used_is_refused(value: dict[str, Any], said: str) -> None:
    """And what may be a secret is not repeated."""
    for model in (GateWebhook, Notification):
        text = problems(model, {"name": "x", **value})

        assert said in text
        assert "user:secret" not in text
        assert "no name" not in text


def test_steps_paced_by_evidence_are_geometric_without_a_time() -> None:
    """Unless a time is asked for."""
    fast = Rollout.model_validate({"steps": [{"evidence": {"from": "1%", "to": "100%", "factor": 4}}]})
    slow = Rollout.model_validate(
        {"steps": [{"evidence": {"from": "1%", "to": "100%"}, "duration": "1m", "requests": 50}]}
    )

    assert fast.steps is not None
    assert slow.steps is not None
    assert [step.weight for step in fast.steps] == [0.01, 0.04, 0.16, 0.64, 1.0]
    assert {(step.duration, step.requests) for step in fast.steps} == {(0.0, 0)}
    assert all(isinstance(step, Step) and step.paced for step in fast.steps)
    assert {(step.duration, step.requests) for step in slow.steps} == {(60.0, 50)}


def test_a_large_holdback_is_no_bake() -> None:
    """Then another step would do."""
    assert "hold back at most 20%" in problems(Rollout, {"bake": {"duration": "1h", "holdback": "30%"}})
