"""Finds guardrails about streams of tokens on routes that do not look at them: they would never have data."""

from __future__ import annotations

from config.routes import Route
from control.guardrails.base import Guardrail
from control.plans.problems import PlanProblem


def stream_problems(route: Route) -> list[PlanProblem]:
    """What is wrong with the `rollout` section of a route, at paths below it."""
    if route.streams is not None or route.rollout is None:
        return []
    return [
        PlanProblem(
            path=("guardrails", number, "kind"),
            problem=f"{guardrail.kind} is about streams of tokens, and the route does not look at them",
            remedy="add streams: {format: openai} to the route",
        )
        for number, guardrail in enumerate(route.rollout.guardrails or ())
        if (kind := Guardrail.kinds.get(guardrail.kind)) is not None and kind.needs_streams
    ]
