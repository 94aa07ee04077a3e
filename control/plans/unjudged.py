"""Finds rollouts whose guardrails could neither condemn the canary nor show it harmless."""

from __future__ import annotations

from config.rollouts import Guardrail as Section
from config.rollouts import Rollout
from control.guardrails.base import Guardrail
from control.guardrails.finding import Family
from control.guardrails.load import load_all
from control.plans.default_guardrails import flat_guardrails
from control.plans.problems import PlanProblem


def unjudged_problems(rollout: Rollout | None) -> list[PlanProblem]:
    """What is wrong with a `rollout` section, at paths below it, whose only guardrails are alarms.

    Whoever lists guardrails means to be guarded. A ramp by time alone is asked for by an empty list, or by
    guardrails that judge and are not enforced.
    """
    if rollout is None or not rollout.enabled or not rollout.guardrails:
        return []
    if flat_guardrails(rollout.model_dump(mode="json")) or any(map(_judges, rollout.guardrails)):
        return []
    kinds = ", ".join(sorted({section.kind for section in rollout.guardrails}))
    return [
        PlanProblem(
            path=("guardrails",),
            problem=f"only alarms about the comparison ({kinds}): nothing would judge the canary",
            remedy="add one that does, such as error_rate_rise, or write [] for a ramp that judges nothing",
        )
    ]


def _judges(section: Section) -> bool:
    load_all()
    kind = Guardrail.kinds.get(section.kind)
    # An unknown kind has a problem of its own.
    return kind is None or kind.family is not Family.PLUMBING
