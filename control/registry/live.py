"""What was seen of releases while they served: decisions about canaries, and results of experiments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from control.registry.compare import compare
from control.registry.registry import find
from control.registry.turn import Desk
from control.store import rollouts, undertakings

_TESTS_MAX: Final = 20
_SHOWN: Final = ("name", "verdict", "unit", "canary", "control", "difference", "ratio")


async def compared(desk: Desk, old: str, new: str) -> dict[str, Any]:
    """Two releases side by side, in one view of the store.

    Raises:
        NotFoundError: one of them is not registered.
    """
    async with desk.store.read() as connection:
        one, other = await find(desk, connection, old), await find(desk, connection, new)
        rules = await desk.rules(connection)
        labels = [one.label, other.label]
        rows = await rollouts.last_decisions_about(connection, labels)
        tests = await undertakings.mentioning(connection, undertakings.EXPERIMENTS, labels, limit=_TESTS_MAX)
    return compare(
        rules.policy,
        one,
        other,
        live=[_live(orjson.loads(row.body)) for row in rows],
        experiments=[each for row in tests for each in _tested(orjson.loads(row.document), labels)],
    )


def _tested(experiment: dict[str, Any], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """By treatment, what an experiment has shown; nothing when neither side of it was asked about."""
    releases, result = experiment.get("releases", {}), experiment.get("result")
    against = releases.get(experiment["control"], "")
    found = {each["name"]: each for each in (result or {}).get("treatments", ())}
    for name in experiment["variants"]:
        release = releases.get(name, "")
        if name == experiment["control"] or not {release, against} & {*labels}:
            continue
        shown = found.get(name, {})
        yield {
            "release": release or name,
            "against": against or experiment["control"],
            "route": experiment["route"],
            "experiment": experiment["id"],
            "name": experiment["name"],
            "status": experiment["status"],
            "verdict": shown.get("verdict", "no_data"),
            "reason": shown.get("reason", ""),
            "improvement": shown.get("improvement"),
            "requests": shown.get("requests"),
        }


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
