"""What was seen of releases while they served: the last decision about each, with its figures."""

from __future__ import annotations

from typing import Any, Final

import orjson

from control.registry.compare import compare
from control.registry.registry import find
from control.registry.turn import Desk
from control.store import rollouts

_SHOWN: Final = ("name", "verdict", "unit", "canary", "control", "difference", "ratio")


async def compared(desk: Desk, old: str, new: str) -> dict[str, Any]:
    """Two releases side by side, in one view of the store.

    Raises:
        NotFoundError: one of them is not registered.
    """
    async with desk.store.read() as connection:
        one, other = await find(desk, connection, old), await find(desk, connection, new)
        rules = await desk.rules(connection)
        rows = await rollouts.last_decisions_about(connection, [one.label, other.label])
    return compare(rules.policy, one, other, [_live(orjson.loads(row.body)) for row in rows])


def _live(decision: dict[str, Any]) -> dict[str, Any]:
    analysis = decision.get("analysis") or {}
    return {
        "release": decision["release"],
        "route": decision["route"],
        "against": decision["stable"],
        "decision": decision["id"],
        "outcome": decision["kind"],
        "reason": decision["reason"],
        "verdict": analysis.get("verdict", "not_judged"),
        "findings": [{key: finding.get(key) for key in _SHOWN} for finding in analysis.get("findings", [])],
    }
