"""Guardrails among which nothing judges the canary are refused; a ramp by time alone is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from config.rollouts import Rollout
from control.configuration import ConfigurationError, read_configuration
from control.plans.unjudged import unjudged_problems
from tests.helpers.control import configuration

ALARMS = [{"kind": "sample_ratio"}, {"kind": "retry_share"}, {"kind": "feedback_share", "metric": "label"}]
RISE = {"kind": "error_rate_rise"}


def test_alarms_alone_are_refused_by_name() -> None:
    """Nothing would roll the canary back or show it harmless, and who lists guardrails means that."""
    (problem,) = unjudged_problems(Rollout.model_validate({"guardrails": ALARMS}))

    assert problem.path == ("guardrails",)
    assert "(feedback_share, retry_share, sample_ratio): nothing would judge the canary" in problem.problem
    assert "error_rate_rise" in problem.remedy
    config = configuration(rollout={"guardrails": [{"kind": "retry_share"}]})
    with pytest.raises(ConfigurationError, match=r"rollout\.guardrails: only alarms"):
        read_configuration(config.to_json(), digest="sha256:0", source="file", at=0.0)


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"guardrails": []},
        {"guardrails": [*ALARMS, RISE]},
        {"guardrails": [*ALARMS, {**RISE, "mode": "dry_run"}]},
        {"guardrails": ALARMS, "error_rate_threshold": 0.02},
        {"guardrails": ALARMS, "enabled": False},
        {"guardrails": [{"kind": "misspelt"}]},
    ],
)
def test_what_judges_or_says_that_nothing_shall_is_taken(section: dict[str, Any]) -> None:
    """Also where it is not enforced, comes from the flat form, or has a problem of its own."""
    assert unjudged_problems(Rollout.model_validate(section)) == []
