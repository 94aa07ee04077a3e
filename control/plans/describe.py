"""A plan as plain JSON with every value filled in, as decisions keep it and the API shows it."""

from typing import Any

from control.plans.plan import RolloutPlan


def describe_plan(plan: RolloutPlan) -> dict[str, Any]:
    """Everything a plan says besides its steps."""
    return {
        "preset": plan.preset,
        "alpha": plan.alpha,
        "alpha_promote": plan.alpha_promote,
        "interval_seconds": plan.interval_s,
        "expiry_seconds": plan.expiry_s,
        "on_expiry": plan.on_expiry.name.lower(),
        "no_data_expiry_seconds": plan.undecided(no_data=True)[0],
        "on_no_data": plan.undecided(no_data=True)[1].name.lower(),
        "auto_start": plan.auto_start,
        "min_requests": plan.min_requests,
        "burst_seconds": plan.burst_s,
        "sticky": plan.sticky,
        "guardrails": [
            {"name": guardrail.name, "kind": guardrail.kind, "mode": guardrail.mode.name.lower()}
            for guardrail in plan.guardrails
        ],
        "webhooks": [webhook.name for webhook in plan.webhooks],
        "freezes": [freeze.name for freeze in plan.freezes],
        "after_promotion": {
            "duration_seconds": plan.after_promotion.duration_s,
            "action": plan.after_promotion.action.name.lower(),
        },
    }


def describe_steps(plan: RolloutPlan) -> list[dict[str, Any]]:
    """The steps in their order."""
    return [
        {
            "weight": step.weight,
            "duration_seconds": step.duration_s,
            "requests": step.requests,
            "manual": step.manual,
            "paced": step.paced,
            "bake": step.bake,
            "shadow": None if step.shadow is None else step.shadow.to_json(),
        }
        for step in plan.steps
    ]
