"""Plans from configuration: presets, the flat legacy form, and everything that can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.rollouts import Rollout
from control.guardrails.finding import Mode
from control.guardrails.slowness import Slowness
from control.plans.plan import DEFAULT_GUARDRAILS, OnExpiry, PlanError, RolloutPlan, Step
from control.plans.presets import PRESETS


def weights(plan: RolloutPlan) -> list[float]:
    return [step.weight for step in plan.steps]


def test_nothing_written_is_the_balanced_preset() -> None:
    """Every value comes from it, with its error budget."""
    plan, preset = RolloutPlan.from_config(), PRESETS["balanced"]

    assert weights(plan) == [0.05, 0.1, 0.25, 0.5, 1.0]
    assert (plan.alpha, plan.alpha_promote) == (preset.alpha, preset.alpha_promote) == (0.01, 0.05)
    assert plan.interval_s == 1.0
    assert plan.on_expiry is OnExpiry.HOLD
    assert [guardrail.kind for guardrail in plan.guardrails] == [
        entry["kind"] for entry in DEFAULT_GUARDRAILS
    ]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_differ_in_their_budgets(name: str) -> None:
    """A preset is a plan, and margins reach the guardrails."""
    plan, preset = RolloutPlan.from_config({"preset": name}), PRESETS[name]

    latency = next(guardrail for guardrail in plan.guardrails if isinstance(guardrail, Slowness))
    assert latency.maximum == preset.margins.latency_ratio
    assert plan.alpha == preset.alpha
    assert plan.steps[-1].weight == 1.0
    assert PRESETS["conservative"].alpha < PRESETS["balanced"].alpha < PRESETS["aggressive"].alpha


def test_what_is_written_wins() -> None:
    plan = RolloutPlan.from_config(
        {
            "preset": "conservative",
            "steps": ["5%", {"weight": "10%", "duration": "2m", "requests": 500, "manual": True}, 1.0],
            "alpha": 0.02,
            "duration": "20s",
            "requests": 50,
            "interval": "500ms",
            "expiry": "1h30m",
            "on_expiry": "stable",
            "auto_start": False,
            "burst": "30s",
            "guardrails": [{"kind": "error_rate", "max": "2%", "mode": "warn", "name": "slo"}],
        },
        sticky=True,
    )

    assert plan.steps == (
        Step(weight=0.05, duration_s=20.0, requests=50),
        Step(weight=0.1, duration_s=120.0, requests=500, manual=True),
        Step(weight=1.0, duration_s=20.0, requests=50),
    )
    assert (plan.alpha, plan.alpha_promote) == (0.02, PRESETS["conservative"].alpha_promote)
    assert (plan.interval_s, plan.expiry_s, plan.burst_s) == (0.5, 5400.0, 30.0)
    assert plan.on_expiry is OnExpiry.STABLE
    assert not plan.auto_start
    assert plan.sticky
    assert [(guardrail.name, guardrail.mode) for guardrail in plan.guardrails] == [("slo", Mode.WARN)]


def test_all_five_legacy_keys_take_effect() -> None:
    """The flat form of the older configuration: each key does what its name says."""
    plan = RolloutPlan.from_config(
        {
            "enabled": False,
            "error_rate_threshold": "3%",
            "latency_threshold_multiplier": 1.5,
            "min_requests_before_check": 250,
            "check_interval_seconds": 5,
        }
    )

    assert not plan.enabled
    assert [guardrail.name for guardrail in plan.guardrails] == [
        "error_rate_threshold",
        "error_rate_above_stable",
        "latency_p95",
        "latency_p99",
    ]
    slow = [guardrail for guardrail in plan.guardrails if isinstance(guardrail, Slowness)]
    assert [(guardrail.levels, guardrail.maximum) for guardrail in slow] == [((0.95,), 1.5), ((0.99,), 1.5)]
    assert plan.min_requests == 250
    assert plan.interval_s == 5.0


def test_legacy_keys_add_to_named_guardrails() -> None:
    plan = RolloutPlan.from_config({"error_rate_threshold": 0.03, "guardrails": [{"kind": "latency_ratio"}]})

    assert [guardrail.name for guardrail in plan.guardrails] == [
        "error_rate_threshold",
        "error_rate_above_stable",
        "latency_ratio",
    ]


def test_the_schemas_model_and_plain_values_give_the_same_plan() -> None:
    """Whatever the configuration was carried as."""
    written: dict[str, Any] = {
        "preset": "aggressive",
        "steps": [{"geometric": {"from": "1%", "to": "64%", "factor": 4}}],
        "guardrails": [{"kind": "error_rate", "max": "2%"}, {"kind": "latency_ratio", "quantiles": ["p95"]}],
        "min_requests_before_check": 10,
        "on_expiry": "rollback",
    }
    model = Rollout.model_validate(written)

    from_model = RolloutPlan.from_config(model)
    again = RolloutPlan.from_config(json.loads(json.dumps(dict(from_model.source))))

    assert weights(from_model) == [0.01, 0.04, 0.16, 0.64]
    assert from_model.steps == again.steps
    assert from_model.source == again.source
    assert [p.key for p in from_model.processes] == [p.key for p in again.processes]
    assert from_model.on_expiry is OnExpiry.STABLE


def test_manual_steps_are_written_as_approval() -> None:
    plan = RolloutPlan.from_config(
        Rollout.model_validate({"steps": [{"weight": "5%", "approval": "manual"}, "100%"]})
    )

    assert [step.manual for step in plan.steps] == [True, False]


def test_margins_are_final_at_the_last_step_with_control() -> None:
    """Loose while little traffic is at risk; a step at full weight has nothing to compare with."""
    plan = RolloutPlan.from_config({"steps": ["1%", "5%", "10%", "25%", "50%", "100%"]})

    assert [plan.level(step) for step in range(6)] == [3, 3, 2, 1, 0, 0]
    assert plan.step(99) == plan.steps[-1]


@pytest.mark.parametrize(
    ("rollout", "path", "problem"),
    [
        ({"preset": "bold"}, ("preset",), "not a preset"),
        ({"steps": []}, ("steps",), "no step"),
        ({"steps": "5%"}, ("steps",), "no step"),
        ({"steps": ["10%", "5%"]}, ("steps", 1), "does not rise"),
        ({"steps": ["0%", "5%"]}, ("steps", 0), "does not rise"),
        ({"steps": ["5x", "50%"]}, ("steps", 0, "weight"), "not a share"),
        ({"steps": [{"weight": "5%", "duration": "soon"}]}, ("steps", 0, "duration"), "not a duration"),
        ({"steps": [{"weight": "5%", "requests": -1}]}, ("steps", 0, "requests"), "not a number of requests"),
        ({"steps": ["100%"]}, ("steps", 0), "leaves no request to stable"),
        ({"alpha": 0}, ("alpha",), "given away"),
        ({"alpha_promote": "1%"}, ("alpha_promote",), "given away"),
        ({"duration": "soon"}, ("duration",), "not a duration"),
        ({"requests": 1.5}, ("requests",), "not a number of requests"),
        ({"min_requests_before_check": True}, ("min_requests_before_check",), "not a number of requests"),
        ({"on_expiry": "promote"}, ("on_expiry",), "not an action"),
        ({"guardrails": [{"kind": "luck"}]}, ("guardrails", 0, "kind"), "no guardrail kind"),
        ({"guardrails": [{"kind": "error_rate"}]}, ("guardrails", 0, "max"), "missing"),
        (
            {"guardrails": [{"kind": "latency_ratio", "mode": "maybe"}]},
            ("guardrails", 0, "mode"),
            "not a mode",
        ),
        ({"guardrails": [{"kind": "latency_ratio"}] * 2}, ("guardrails", 1), "two guardrails"),
        ({"error_rate_threshold": "200%"}, ("error_rate_threshold",), "outside"),
    ],
)
def test_everything_that_is_wrong_has_a_place(
    rollout: dict[str, Any], path: tuple[str | int, ...], problem: str
) -> None:
    """Path, problem and what would do, without raising for `headgate check`."""
    (found,) = RolloutPlan.problems(rollout)

    assert found.path == path
    assert problem in found.problem
    assert found.remedy
    with pytest.raises(PlanError, match=problem):
        RolloutPlan.from_config(rollout)


def test_several_faults_are_found_at_once() -> None:
    found = RolloutPlan.problems({"alpha": 2, "steps": ["9%", "3%"], "guardrails": [{"kind": "luck"}]})

    assert len(found) == 3
    assert RolloutPlan.problems({}) == []


def test_an_absolute_limit_alone_may_begin_at_full_weight() -> None:
    """It needs no control to compare with."""
    assert (
        RolloutPlan.problems({"steps": ["100%"], "guardrails": [{"kind": "error_rate", "max": "1%"}]}) == []
    )


def test_what_is_no_section_is_an_error_of_the_program() -> None:
    with pytest.raises(TypeError, match="not a section"):
        RolloutPlan.from_config(42)
