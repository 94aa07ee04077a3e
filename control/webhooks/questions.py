"""What a gate is asked: may this canary get more requests, and what is known about it."""

from __future__ import annotations

from typing import Any

import orjson

from control.audit.canonical import canonical
from control.rollout.records import Record


def question(record: Record) -> dict[str, Any]:
    """The body of the request, in plain JSON; infinite figures are null."""
    rollout, plan = record.rollout, record.plan
    last = rollout.step + 1 >= len(plan.steps)
    analysis = record.analysis
    return {
        "type": "headgate.gate",
        "question": "promote" if last else "advance",
        "rollout": rollout.id,
        "route": rollout.route,
        "stable": rollout.stable,
        "canary": rollout.canary,
        "release": record.release,
        "step": rollout.step,
        "from_weight": record.weight,
        "to_weight": 1.0 if last else plan.step(rollout.step + 1).weight,
        "analysis": None if analysis is None else orjson.loads(canonical(analysis.to_json())),
        "answers": {"approve": "go on", "wait": "ask again later", "refuse": "pause for a person"},
    }
